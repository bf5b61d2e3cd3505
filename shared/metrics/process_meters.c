/* Process meters: the timer, and what the system knows of this process. */
#include "shared/metrics/process_meters.h"

#include <dirent.h>
#include <math.h>
#include <sys/resource.h>

#define LOOP_MS 100

#define ROW(...) METER_ROW(struct meters_process, __VA_ARGS__)

const struct meter meters_of_process[] = {METERS_OF_PROCESS(ROW){0}};

static void arm(struct process_meters *p);

static void on_timer(uv_timer_t *timer)
{
    struct process_meters *p = CONTAINER_OF(timer, struct process_meters, timer);
    uint64_t now = mono_us();

    histogram_add(&p->values.loop_delay_seconds, now > p->due_us ? now - p->due_us : 0);
    arm(p);
}

static void arm(struct process_meters *p)
{
    uv_update_time(p->timer.loop); /* else it counts from when this turn began */
    p->due_us = mono_us() + LOOP_MS * 1000;
    uv_timer_start(&p->timer, on_timer, LOOP_MS, 0);
}

void process_meters_begin(struct process_meters *p, uv_loop_t *loop)
{
    *p = (struct process_meters){.values = {.build_info = SHOAL_VERSION}};
    p->values.process_start_time_seconds = (double)wall_now().ms / 1e3;
    BUG_ON(uv_timer_init(loop, &p->timer) != 0);
    arm(p);
}

/* Those of the entries of /proc/self/fd that are files; one of them is this look. */
static double open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    double n = -1;

    if (dir == NULL) {
        return NAN;
    }
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        n += entry->d_name[0] != '.';
    }
    closedir(dir);
    return n;
}

static void look(struct meters_process *m)
{
    uv_rusage_t usage;
    struct rlimit files;
    size_t bytes;

    m->process_resident_memory_bytes = uv_resident_set_memory(&bytes) == 0 ? (double)bytes : NAN;
    m->process_open_fds = open_files();
    m->process_max_fds = getrlimit(RLIMIT_NOFILE, &files) == 0 ? (double)files.rlim_cur : NAN;
    if (uv_getrusage(&usage) == 0) {
        m->process_cpu_seconds_total =
            (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
            (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    }
}

void process_meters_write(struct process_meters *p, struct exposition *e)
{
    look(&p->values);
    exposition_write(e, meters_of_process, &p->values);
}
