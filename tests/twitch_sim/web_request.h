/* Web request: one HTTP/1.1 request, taken apart (RFC 9112). Pure.
 *
 * Slices point into the bytes it was read from. A body has a Content-Length; chunked ones are refused. */
#ifndef SIM_WEB_REQUEST_H
#define SIM_WEB_REQUEST_H

#include "shared/base.h"

#define WEB_HEAD_MAX  32768 /* bytes: a look-up of 100 logins fits */
#define WEB_BODY_MAX  65536
#define WEB_VALUE_MAX 1024 /* of a parameter, NUL included; what is longer is cut */

struct web_request {
    struct slice method;
    struct slice path;
    struct slice query; /* behind the '?', or empty */
    struct slice authorization;
    struct slice client_id;
    struct slice content_type;
    struct slice body;
    bool close; /* the client wants no further request on this connection */
};

/* Take the request at the front of `in` apart: 0, and how many bytes it has. 1: there is more to
 * come. Above: the HTTP status it is refused with; the connection is of no more use then. */
unsigned web_request_parse(struct slice in, struct web_request *out, size_t *used);

/* One "name=value" of a query or a form, unescaped. */
struct web_pair {
    char name[64];
    char value[WEB_VALUE_MAX];
};
/* The next one of those that are left; false: there is none. */
bool web_pair_next(struct slice *left, struct web_pair *out);
/* The first parameter of that name, in the form that the body is, else in the query. False: there is
 * none, or it is empty; then `value` is empty. */
bool web_param(const struct web_request *r, const char *name, char value[WEB_VALUE_MAX]);

#endif
