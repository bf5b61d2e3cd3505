/* Page: the files of the dashboard (page/) and of the API, which the build puts into the
 * program. */
#ifndef SHOAL_COORDINATOR_PAGE_H
#define SHOAL_COORDINATOR_PAGE_H

#include "shared/web/web.h"

struct page_file {
    const char *name;
    const unsigned char *bytes;
    const size_t *len;
};
/* Made by the build, closed by one without name. */
extern const struct page_file page_files[];

/* Answer with the file of that name, or 404. */
void page_answer(struct web_request *r, struct slice name);

#endif
