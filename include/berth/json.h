/* json.h - the JSON field engine: one line per field makes the member, the decoder and the encoder.
 *
 *     #define PORT(F, T)                                   \
 *         F(T, STR, host_ip, "HostIp",   0)                \
 *         F(T, INT, port,    "HostPort", OMIT_EMPTY)
 *     JSON_DECLARE(port, PORT)      -> struct port; extern const json_type port_json   (header)
 *     JSON_DEFINE(port, PORT)       -> its table                                        (one .c)
 *
 * Kinds, their member and what they carry:
 *   STR        char *            a string; NULL when absent or null; encodes NULL as ""
 *   OPT_STR    char *            a string; NULL when absent; encodes NULL as null
 *   INT        int64_t           a whole number; a fraction or a string is refused
 *   OPT_INT    json_opt_int      {.set, .n}: Docker tells unset (null) from zero
 *   NUM        double            any number
 *   BOOL       bool
 *   OPT_BOOL   json_opt_bool     {.set, .b}
 *   STRS       json_strs         {.v, .n, .set}: a list of strings, NULL behind the last; nil
 * encodes as null CMD        json_strs         as STRS, and a lone string decodes as a list of one
 *   MAP        json_map          string to string, in order; nil encodes as null
 *   SET        json_strs         {"80/tcp": {}}: the keys; nil encodes as null
 *   RAW        json_raw          {.text}: any JSON value, kept as compact text; NULL encodes as
 * null OBJ(t)     struct t          embedded object; null or absent leaves it zero OBJP(t) struct t
 * *        object or NULL (null) OBJS(t)    json_list         {.v, .n, .set}: array of struct t
 *   MAPOF(t)   json_mapof        {.v (struct t array), .keys, .n, .set}: object of objects, in
 * order MAPLISTOF(t) json_maplist    {.keys, .v (json_list array), .n, .set}: object of (null or)
 * arrays
 *
 * Flags: OMIT_EMPTY (Go's omitempty: "", 0, false, nil or empty list, NULL), OMIT_UNSET (OPT_*,
 * OBJP and CMD: leave out instead of null), EMPTY_LIST (nil list or map is [] or {}), SINCE(n) and
 * UNTIL(n): only for API 1.n and later / 1.n and earlier, on encode and decode; OMIT_ZERO_OBJ.
 *
 * Go's rules hold: unknown keys are ignored, keys match without case, the last duplicate wins, null
 * is absent.  Errors are ERR_INVALID and name the path: "HostConfig.Memory: not a number".  What is
 * decoded lives in the arena.  Depth is bounded (JSON_MAX_DEPTH).  Any thread. */
#ifndef BERTH_JSON_H
#define BERTH_JSON_H

#include <berth/arena.h>
#include <berth/buf.h>
#include <berth/err.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_MAX_DEPTH = 128, JSON_ANY_VERSION = 0 };

typedef struct json_opt_int {
    bool set;
    int64_t n;
} json_opt_int;
typedef struct json_opt_bool {
    bool set;
    bool b;
} json_opt_bool;
typedef struct json_strs {
    char **v;
    size_t n;
    bool set;
} json_strs;
typedef struct json_map {
    char **keys;
    char **values;
    size_t n;
    bool set;
} json_map;
typedef struct json_raw {
    char *text;
} json_raw;
typedef struct json_list {
    void *v;
    size_t n;
    bool set;
} json_list;
typedef struct json_mapof {
    void *v;
    char **keys;
    size_t n;
    bool set;
} json_mapof;
typedef struct json_maplist {
    json_list *v;
    char **keys;
    size_t n;
    bool set;
} json_maplist;
/* Element i of a json_list / json_mapof as struct type. */
#define JSON_AT(list, type, i) (&((type *)(list).v)[i])

typedef enum json_kind {
    JSON_STR,
    JSON_OPT_STR,
    JSON_INT,
    JSON_OPT_INT,
    JSON_NUM,
    JSON_BOOL,
    JSON_OPT_BOOL,
    JSON_STRS,
    JSON_CMD,
    JSON_MAP,
    JSON_SET,
    JSON_RAW,
    JSON_OBJ,
    JSON_OBJP,
    JSON_OBJS,
    JSON_MAPOF,
    JSON_MAPLISTOF,
} json_kind;

enum {
    OMIT_EMPTY = 1 << 0,
    OMIT_UNSET = 1 << 1,
    EMPTY_LIST = 1 << 2,
    OMIT_ZERO_OBJ = 1 << 3, /* OBJ: leave out when every byte of the struct is zero */
};
#define SINCE(minor) ((minor) << 8)
#define UNTIL(minor) ((minor) << 16)

typedef struct json_type json_type;
typedef struct json_field {
    const char *key;
    const json_type *type; /* of OBJ, OBJP, OBJS, MAPOF, MAPLISTOF */
    json_kind kind;
    uint32_t flags;
    uint32_t offset;
    uint32_t name_len;
    const char *name; /* the key as it is written behind another field: ,"Key": */
} json_field;
struct json_type {
    const char *name;
    size_t size;
    const json_field *fields; /* ended by a NULL key */
};

/* Decode text (n bytes, exactly one JSON value that is an object) into *ret (a zeroed or defaulted
 * struct: absent fields keep their value).  api_version is the minor, or JSON_ANY_VERSION. */
must_check err *json_decode(const json_type *type, const char *text, size_t n, int api_version,
                            arena *a, void *ret);
/* Append the object; api_version as above. */
void json_encode(const json_type *type, const void *object, int api_version, buf *out);
/* Append [obj, obj, ...] of n objects laid out one after the other. */
void json_encode_list(const json_type *type, const void *objects, size_t n, int api_version,
                      buf *out);
/* Append s as a JSON string; bytes that are not UTF-8 become U+FFFD as Go does; no HTML escaping.
 */
void json_quote(const char *s, buf *out);
void json_quote_n(const char *s, size_t n, buf *out);

/* A deep copy of an object into another arena (encode and decode would lose nothing, this is
 * faster). */
void json_copy(const json_type *type, const void *from, arena *a, void *to);

const char *json_map_get(const json_map *m, const char *key); /* NULL when absent */
void json_map_set(json_map *m, arena *a, const char *key, const char *value);
void json_strs_add(json_strs *s, arena *a, const char *item);
/* Room for one more zeroed element of type; the pointer is valid until the next add. */
void *json_list_add(json_list *l, arena *a, const json_type *type);
void *json_mapof_add(json_mapof *m, arena *a, const json_type *type, const char *key);
/* The list under key, made when there is none; valid until the next one is made. */
json_list *json_maplist_at(json_maplist *m, arena *a, const char *key);
void *json_mapof_get(const json_mapof *m, const json_type *type, const char *key);

/* ---- how the list becomes a struct and a table ---- */
#define JSON_MEMBER_STR(m)                         char *m;
#define JSON_MEMBER_OPT_STR(m)                     char *m;
#define JSON_MEMBER_INT(m)                         int64_t m;
#define JSON_MEMBER_OPT_INT(m)                     json_opt_int m;
#define JSON_MEMBER_NUM(m)                         double m;
#define JSON_MEMBER_BOOL(m)                        bool m;
#define JSON_MEMBER_OPT_BOOL(m)                    json_opt_bool m;
#define JSON_MEMBER_STRS(m)                        json_strs m;
#define JSON_MEMBER_CMD(m)                         json_strs m;
#define JSON_MEMBER_MAP(m)                         json_map m;
#define JSON_MEMBER_SET(m)                         json_strs m;
#define JSON_MEMBER_RAW(m)                         json_raw m;
#define JSON_MEMBER_OBJ(t)                         struct t JSON_MEMBER_NAME
#define JSON_MEMBER_OBJP(t)                        struct t *JSON_MEMBER_NAME
#define JSON_MEMBER_OBJS(t)                        json_list JSON_MEMBER_NAME
#define JSON_MEMBER_MAPOF(t)                       json_mapof JSON_MEMBER_NAME
#define JSON_MEMBER_MAPLISTOF(t)                   json_maplist JSON_MEMBER_NAME
#define JSON_MEMBER_NAME(m)                        m;
#define JSON_F_MEMBER(T, kind, member, key, flags) JSON_MEMBER_##kind(member)

#define JSON_ROW_STR                            JSON_STR, NULL
#define JSON_ROW_OPT_STR                        JSON_OPT_STR, NULL
#define JSON_ROW_INT                            JSON_INT, NULL
#define JSON_ROW_OPT_INT                        JSON_OPT_INT, NULL
#define JSON_ROW_NUM                            JSON_NUM, NULL
#define JSON_ROW_BOOL                           JSON_BOOL, NULL
#define JSON_ROW_OPT_BOOL                       JSON_OPT_BOOL, NULL
#define JSON_ROW_STRS                           JSON_STRS, NULL
#define JSON_ROW_CMD                            JSON_CMD, NULL
#define JSON_ROW_MAP                            JSON_MAP, NULL
#define JSON_ROW_SET                            JSON_SET, NULL
#define JSON_ROW_RAW                            JSON_RAW, NULL
#define JSON_ROW_OBJ(t)                         JSON_OBJ, &t##_json
#define JSON_ROW_OBJP(t)                        JSON_OBJP, &t##_json
#define JSON_ROW_OBJS(t)                        JSON_OBJS, &t##_json
#define JSON_ROW_MAPOF(t)                       JSON_MAPOF, &t##_json
#define JSON_ROW_MAPLISTOF(t)                   JSON_MAPLISTOF, &t##_json
#define JSON_MAKE_ROW(T, k, member, key, flags) JSON_MAKE_ROW_(T, k, member, key, flags)
#define JSON_MAKE_ROW_(T, kind, type, member, key, flags) \
    {key,                                                 \
     type,                                                \
     kind,                                                \
     flags,                                               \
     offsetof(struct T, member),                          \
     sizeof(",\"" key "\":") - 1,                         \
     ",\"" key "\":"},
#define JSON_F_ROW(T, kind, member, key, flags) \
    JSON_MAKE_ROW(T, JSON_ROW_##kind, member, key, flags)

#define JSON_DECLARE(name, LIST)  \
    typedef struct name {         \
        LIST(JSON_F_MEMBER, name) \
    } name;                       \
    extern const json_type name##_json;
#define JSON_DEFINE(name, LIST)                                            \
    static const json_field name##_fields[] = {LIST(JSON_F_ROW, name){0}}; \
    const json_type name##_json = {#name, sizeof(struct name), name##_fields};

#endif
