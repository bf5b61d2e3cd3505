/* shoalctl keygen: a key for the file of account keys. It asks nobody. */
#include "coordinator/ctl/commands.h"
#include "shared/seal.h"

#include <stdio.h>
#include <string.h>

static int run_keygen(struct ctl *c)
{
    char key[SEAL_KEY_CHARS];

    (void)c;
    seal_key_make(key);
    puts(key);
    explicit_bzero(key, sizeof(key));
    return CTL_DONE;
}

CTL_COMMAND(keygen, "", "A new key: a line of the file for --account-keys.", NULL, 0, run_keygen);
