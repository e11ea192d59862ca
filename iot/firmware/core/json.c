#include "json.h"

#include <string.h>

enum { MOST_LEVELS = 32 };

static const json_value NONE = {NULL, NULL};

/* --- reading: each function returns where it stopped, or NULL if that is no JSON --- */

static char *skip_space(char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) {
        at++;
    }
    return at;
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

static char *skip_string(char *at, const char *end)
{
    for (at++; at < end; at++) {
        if (*at == '"') {
            return at + 1;
        }
        if ((unsigned char)*at < 0x20) {
            return NULL;
        }
        if (*at != '\\') {
            continue;
        }
        if (++at == end) {
            return NULL;
        }
        if (*at == 'u') {
            if (end - at < 5) {
                return NULL;
            }
            for (int digit = 1; digit <= 4; digit++) {
                if (hex_digit(at[digit]) < 0) {
                    return NULL;
                }
            }
            at += 4;
        } else if (strchr("\"\\/bfnrt", *at) == NULL || *at == '\0') {
            return NULL;
        }
    }
    return NULL;
}

static char *skip_digits(char *at, const char *end)
{
    char *first = at;
    while (at < end && *at >= '0' && *at <= '9') {
        at++;
    }
    return at == first ? NULL : at;
}

static char *skip_number(char *at, const char *end)
{
    if (at < end && *at == '-') {
        at++;
    }
    if (at < end && *at == '0') {
        at++;
    } else if ((at = skip_digits(at, end)) == NULL) {
        return NULL;
    }
    if (at < end && *at == '.') {
        at = skip_digits(at + 1, end);
    }
    if (at != NULL && at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-')) {
            at++;
        }
        at = skip_digits(at, end);
    }
    return at;
}

static char *skip_word(char *at, const char *end, const char *word)
{
    size_t length = strlen(word);
    return (size_t)(end - at) >= length && memcmp(at, word, length) == 0 ? at + length : NULL;
}

static char *skip_value(char *at, const char *end, int level);

/* An object or an array. */
static char *skip_group(char *at, const char *end, int level)
{
    bool is_object = *at == '{';
    char close = is_object ? '}' : ']';

    if (level >= MOST_LEVELS) {
        return NULL;
    }
    at = skip_space(at + 1, end);
    if (at < end && *at == close) {
        return at + 1;
    }
    while (at < end) {
        if (is_object) {
            if (*at != '"' || (at = skip_string(at, end)) == NULL) {
                return NULL;
            }
            at = skip_space(at, end);
            if (at == end || *at != ':') {
                return NULL;
            }
            at = skip_space(at + 1, end);
        }
        if ((at = skip_value(at, end, level + 1)) == NULL) {
            return NULL;
        }
        at = skip_space(at, end);
        if (at < end && *at == close) {
            return at + 1;
        }
        if (at == end || *at != ',') {
            return NULL;
        }
        at = skip_space(at + 1, end);
    }
    return NULL;
}

static char *skip_value(char *at, const char *end, int level)
{
    if (at == end) {
        return NULL;
    }
    switch (*at) {
    case '{':
    case '[':
        return skip_group(at, end, level);
    case '"':
        return skip_string(at, end);
    case 't':
        return skip_word(at, end, "true");
    case 'f':
        return skip_word(at, end, "false");
    case 'n':
        return skip_word(at, end, "null");
    default:
        return skip_number(at, end);
    }
}

json_value json_parse(char *text, size_t length)
{
    char *end = text + length;
    char *begin = skip_space(text, end);
    char *behind = skip_value(begin, end, 0);

    if (behind == NULL || skip_space(behind, end) != end) {
        return NONE;
    }
    return (json_value){begin, behind};
}

/* From here on the text is known to be JSON. */

json_value json_member(json_value object, const char *name)
{
    size_t length = strlen(name);
    json_value found = NONE;

    if (object.begin == NULL || *object.begin != '{') {
        return NONE;
    }
    for (char *at = skip_space(object.begin + 1, object.end); *at == '"';) {
        char *key_end = skip_string(at, object.end);
        char *begin = skip_space(skip_space(key_end, object.end) + 1, object.end);
        char *end = skip_value(begin, object.end, 0);

        if ((size_t)(key_end - at) == length + 2 && memcmp(at + 1, name, length) == 0) {
            found = *begin == 'n' ? NONE : (json_value){begin, end};
        }
        at = skip_space(end, object.end);
        if (*at != ',') {
            break;
        }
        at = skip_space(at + 1, object.end);
    }
    return found;
}

json_value json_next(json_value array, json_value previous)
{
    if (array.begin == NULL || *array.begin != '[') {
        return NONE;
    }
    char *at = skip_space(previous.begin == NULL ? array.begin : previous.end, array.end);
    if (*at == ']') {
        return NONE;
    }
    at = skip_space(at + 1, array.end);
    if (*at == ']') {
        return NONE;
    }
    return (json_value){at, skip_value(at, array.end, 0)};
}

static char *put_utf8(char *to, uint32_t character)
{
    if (character < 0x80) {
        *to++ = (char)character;
    } else if (character < 0x800) {
        *to++ = (char)(0xC0 | character >> 6);
        *to++ = (char)(0x80 | (character & 0x3F));
    } else if (character < 0x10000) {
        *to++ = (char)(0xE0 | character >> 12);
        *to++ = (char)(0x80 | (character >> 6 & 0x3F));
        *to++ = (char)(0x80 | (character & 0x3F));
    } else {
        *to++ = (char)(0xF0 | character >> 18);
        *to++ = (char)(0x80 | (character >> 12 & 0x3F));
        *to++ = (char)(0x80 | (character >> 6 & 0x3F));
        *to++ = (char)(0x80 | (character & 0x3F));
    }
    return to;
}

static uint32_t read_hex4(const char *at)
{
    uint32_t value = 0;
    for (int digit = 0; digit < 4; digit++) {
        value = value << 4 | (uint32_t)hex_digit(at[digit]);
    }
    return value;
}

/* The character of an escape `\uXXXX`; `*at` is at its u, and afterwards at the last digit. */
static uint32_t read_escaped(char **at, const char *end)
{
    uint32_t character = read_hex4(*at + 1);

    *at += 4;
    if (character >= 0xD800 && character < 0xDC00 && end - *at > 6 && (*at)[1] == '\\' && (*at)[2] == 'u') {
        uint32_t low = read_hex4(*at + 3);
        if (low >= 0xDC00 && low < 0xE000) {
            *at += 6;
            return 0x10000 + ((character - 0xD800) << 10) + (low - 0xDC00);
        }
    }
    return character == 0 || (character >= 0xD800 && character < 0xE000) ? 0xFFFD : character;
}

char *json_text(json_value value)
{
    static const char ESCAPES[] = "bfnrt", MEANINGS[] = "\b\f\n\r\t";

    if (value.begin == NULL || *value.begin != '"') {
        return NULL;
    }
    /* What is meant is never longer than how it is written. */
    char *to = value.begin;
    char *end = value.end - 1;
    for (char *at = value.begin + 1; at < end; at++) {
        if (*at != '\\') {
            *to++ = *at;
            continue;
        }
        at++;
        const char *escape = strchr(ESCAPES, *at);
        if (*at == 'u') {
            to = put_utf8(to, read_escaped(&at, end));
        } else {
            *to++ = escape != NULL ? MEANINGS[escape - ESCAPES] : *at;
        }
    }
    *to = '\0';
    return value.begin;
}

uint32_t json_count(json_value value)
{
    uint32_t count = 0;

    for (const char *at = value.begin; at < value.end; at++) {
        if (*at < '0' || *at > '9') {
            return 0;
        }
        uint32_t digit = (uint32_t)(*at - '0');
        count = count > (UINT32_MAX - digit) / 10 ? UINT32_MAX : count * 10 + digit;
    }
    return count;
}

/* --- writing --- */

static void put_bytes(json_writer *writer, const char *bytes, size_t length)
{
    /* One byte stays for the 0 at the end. */
    if (writer->overflows || writer->size - writer->length <= length) {
        writer->overflows = true;
        return;
    }
    memcpy(writer->buffer + writer->length, bytes, length);
    writer->length += length;
}

void json_put(json_writer *writer, const char *text)
{
    put_bytes(writer, text, strlen(text));
}

void json_put_text(json_writer *writer, const char *text)
{
    static const char HEX[] = "0123456789abcdef";

    if (text == NULL) {
        json_put(writer, "null");
        return;
    }
    put_bytes(writer, "\"", 1);
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') {
            put_bytes(writer, (char[]){'\\', *text}, 2);
        } else if (byte == '\r' || byte == '\n') {
            put_bytes(writer, byte == '\r' ? "\\r" : "\\n", 2);
        } else if (byte < 0x20) {
            put_bytes(writer, (char[]){'\\', 'u', '0', '0', HEX[byte >> 4], HEX[byte & 15]}, 6);
        } else {
            put_bytes(writer, text, 1);
        }
    }
    put_bytes(writer, "\"", 1);
}

size_t json_end(json_writer *writer)
{
    if (writer->overflows || writer->size == 0) {
        return 0;
    }
    writer->buffer[writer->length] = '\0';
    return writer->length;
}
