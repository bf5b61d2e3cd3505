/* Private Redis: a redis-server of a test's own, on a free loopback port, in a temporary directory.
 *
 * It is killed by private_redis_stop, and by the kernel when the test program dies. Every function
 * that cannot do its work ends the program with a message: a test has no use for the rest. */
#ifndef SHOAL_TESTS_PRIVATE_REDIS_H
#define SHOAL_TESTS_PRIVATE_REDIS_H

#include <stdint.h>
#include <sys/types.h>

struct private_redis;

struct private_redis_options {
    const char *const *args; /* more arguments ("--requirepass", "x"), closed by NULL; or NULL */
    const char *tls_cert;    /* PEM files: serve TLS instead of plain TCP; or NULL */
    const char *tls_key;
    const char *tls_ca;
};

/* Start one and wait until it accepts. `options` may be NULL; it must outlive the server if given. */
struct private_redis *private_redis_start(const struct private_redis_options *options);
/* Kill it and remove its directory. NULL is fine. */
void private_redis_stop(struct private_redis *r);
/* SIGKILL it and wait until it is gone; the port and the directory stay. */
void private_redis_kill(struct private_redis *r);
/* Start it again on the same port (after private_redis_kill). */
void private_redis_restart(struct private_redis *r);
/* SIGSTOP and SIGCONT. */
void private_redis_pause(struct private_redis *r);
void private_redis_resume(struct private_redis *r);
/* The one that all tests of a program share, and the group's setup and teardown that start and stop it (cmocka). */
extern struct private_redis *redis;
int start_redis(void **state);
int stop_redis(void **state);
uint16_t private_redis_port(const struct private_redis *r);
pid_t private_redis_pid(const struct private_redis *r);
/* Its directory; removed with the plain files in it by private_redis_stop. */
const char *private_redis_dir(const struct private_redis *r);
/* A loopback port that nobody listens on now. */
uint16_t free_port(void);

/* A directory of a test's own below TMPDIR: its path, to be freed by temp_dir_remove with all the
 * plain files in it. */
char *temp_dir_make(void);
void temp_dir_remove(char *path);

#endif
