/* Names: a name with the addresses a test gives it, for all of the program (getaddrinfo is ours), and addresses that
 * are dead: connecting to them is neither answered nor refused. */
#ifndef SHOAL_TEST_NAMES_H
#define SHOAL_TEST_NAMES_H

#define NAMES_NAME                                                                                 \
    "several.test" /* the name that is answered here; all others are looked up as ever */

/* Its addresses (IPv4 and IPv6 literals, with blanks between), in this order. */
void names_set(const char *addresses);
/* From now on its look-up takes so long; how often one has ended. */
void names_take(unsigned ms);
unsigned names_answered(void);
/* How often it, or any other name that is no literal, was looked up. */
unsigned names_looked_up(void);

struct dead_port;
/* A port at a loopback address (127.0.0.2) whose queue of connections is full, so that the kernel drops what comes. */
struct dead_port *dead_port_open(const char *ip, int port);
void dead_port_close(struct dead_port *d);

#endif
