/* registry_auth.h - who a client is for a registry, and what a registry asks for. */
#ifndef BERTH_IMAGE_REGISTRY_AUTH_H
#define BERTH_IMAGE_REGISTRY_AUTH_H

#include <berth/arena.h>
#include <berth/json.h>

#define REGISTRY_AUTH(F, T)                                \
    F(T, STR, username, "username", OMIT_EMPTY)            \
    F(T, STR, password, "password", OMIT_EMPTY)            \
    F(T, STR, auth, "auth", OMIT_EMPTY)                    \
    F(T, STR, email, "email", OMIT_EMPTY)                  \
    F(T, STR, server_address, "serveraddress", OMIT_EMPTY) \
    F(T, STR, identity_token, "identitytoken", OMIT_EMPTY) \
    F(T, STR, registry_token, "registrytoken", OMIT_EMPTY)
JSON_DECLARE(registry_auth, REGISTRY_AUTH)

/* X-Registry-Auth: base64url of JSON, padded or not; or the JSON itself, as POST /auth has it. What
 * cannot be read is nobody, as clients expect.  Strings live in a. */
void registry_auth_decode(const char *header, arena *a, registry_auth *ret);

typedef enum challenge_kind { CHALLENGE_NONE, CHALLENGE_BASIC, CHALLENGE_BEARER } challenge_kind;
typedef struct challenge {
    challenge_kind kind;
    char *realm, *service, *scope; /* in the arena; NULL where not said */
} challenge;

/* The header WWW-Authenticate (RFC 9110); CHALLENGE_NONE when it has neither scheme. */
void challenge_parse(const char *header, arena *a, challenge *ret);

#endif
