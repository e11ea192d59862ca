/* JSON (RFC 8259) in a caller's buffers: nothing is allocated, nothing is copied. */
#ifndef CCTV_JSON_H
#define CCTV_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A value in a text: from its first character to behind its last. `begin` is NULL where there is none. */
typedef struct {
    char *begin;
    char *end;
} json_value;

/* The only value in a text of `length` bytes; none if that is no JSON, or nests deeper than 32 levels. */
json_value json_parse(char *text, size_t length);

/* A member of an object; none if there is no such member, or if it is null, or if `object` is no object. Of
 * several with one name it is the last, as for the server and its other clients. */
json_value json_member(json_value object, const char *name);

/* The elements of an array, one after the other: begin with `previous` none. */
json_value json_next(json_value array, json_value previous);

/* A string as UTF-8 with a 0 at its end, NULL if it is none. This overwrites it in its text, so look for
 * everything else in the objects around it before. Characters U+0000 and unpaired surrogates become U+FFFD. */
char *json_text(json_value value);

/* A whole number from 0; 0 for anything else, UINT32_MAX for a larger one. */
uint32_t json_count(json_value value);

/* Writes into `buffer`; nothing is written behind `size` bytes, and `overflows` says when that was needed. */
typedef struct {
    char *buffer;
    size_t size;
    size_t length;
    bool overflows;
} json_writer;

/* Append text as it is. */
void json_put(json_writer *writer, const char *text);

/* Append a string with its quotation marks, escaped; `null` for NULL. */
void json_put_text(json_writer *writer, const char *text);

/* The length of what was written, which ends with a 0 that does not count; 0 if it did not fit. */
size_t json_end(json_writer *writer);

#endif
