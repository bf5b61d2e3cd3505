/* Manager load: by name, or with dlopen(3): an object is looked at before any function of it is
 * called. */
#include "coordinator/manager/manager_load.h"

#include "coordinator/manager/built_in.h"
#include "shared/file.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define SYMBOL   "shoal_shard_manager"
#define MAX_NAME 64

static int check_table(const char *file, const struct shard_manager_ops *ops, struct err *err)
{
    if (ops->abi != SHARD_MANAGER_ABI) {
        return err_set(
            err, ERR_USAGE,
            "%s was built for ABI %u of shard managers, this program has ABI %d; build it "
            "again with this version's shoal/shard_manager.h",
            file, (unsigned)ops->abi, SHARD_MANAGER_ABI);
    }
    if (ops->size != sizeof(*ops)) {
        return err_set(err, ERR_USAGE,
                       "%s: .size of " SYMBOL " is %u, not %zu; set it to sizeof(struct "
                       "shard_manager_ops)",
                       file, (unsigned)ops->size, sizeof(*ops));
    }
    if (ops->name == NULL || !ops->name[0] || strlen(ops->name) > MAX_NAME) {
        return err_set(err, ERR_USAGE, "%s: .name of " SYMBOL " is missing or longer than %d", file,
                       MAX_NAME);
    }
    if (ops->create == NULL || ops->destroy == NULL || ops->setup == NULL ||
        ops->assign_shard == NULL || ops->get_sender_shard == NULL || ops->start == NULL ||
        ops->stop == NULL) {
        return err_set(err, ERR_USAGE,
                       "%s: " SYMBOL " lacks a function; it takes create, destroy, setup, "
                       "assign_shard, get_sender_shard, start and stop",
                       file);
    }
    return 0;
}

const struct shard_manager_ops *manager_load(const char *name, struct err *err)
{
    static const struct shard_manager_ops *const own[] = {&built_in_distributed, &built_in_default};

    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        if (strcmp(name, own[i]->name) == 0) {
            return own[i];
        }
    }
    if (strchr(name, '/') == NULL && strstr(name, ".so") == NULL) {
        err_set(err, ERR_USAGE,
                "\"%.100s\" is no shard manager; there are distributed and default, and FILE.so "
                "loads one",
                name);
        return NULL;
    }
    /* Without a slash dlopen would look in the system's directories alone. */
    char *path = strchr(name, '/') != NULL ? xstrdup(name) : xasprintf("./%s", name);
    if (file_check(path, "a shard manager", err) != 0) {
        free(path);
        return NULL;
    }
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    free(path);
    if (object == NULL) {
        const char *why = dlerror();
        err_set(err, ERR_USAGE, "cannot load a shard manager: %.400s",
                why != NULL ? why : "no reason is given"); /* it names the file */
        return NULL;
    }
    const struct shard_manager_ops *ops = dlsym(object, SYMBOL);
    if (ops == NULL) {
        err_set(err, ERR_USAGE,
                "%.200s is no shard manager: it does not export " SYMBOL
                " (see shoal/shard_manager.h)",
                name);
    } else if (check_table(name, ops, err) == 0) {
        return ops;
    }
    dlclose(object);
    return NULL;
}

int manager_load_check(const char *name, struct err *err)
{
    return manager_load(name, err) != NULL ? 0 : -ERR_USAGE;
}
