/* Status screen: the status document for people, as wide and as high as their terminal. */
#ifndef SHOAL_CTL_STATUS_SCREEN_H
#define SHOAL_CTL_STATUS_SCREEN_H

#include <cjson/cJSON.h>
#include <stdio.h>

struct status_screen {
    FILE *out;
    size_t width;  /* columns; 0: any */
    size_t height; /* lines: where there are more shards or nodes, those that are not well are shown
                    * first, and of the others how many there are; 0: all are shown */
    const cJSON *document;
    size_t rows; /* of each table, 0: all; its own */
};

void status_screen(struct status_screen *s);

#endif
