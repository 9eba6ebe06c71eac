/* names.c - names: the rule for given ones, and made-up ones for who gives none. */
#include "private.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const char *const adjectives[] = {
    "able",     "agile",    "amber",    "ample",   "apt",     "arctic", "balmy", "bold",
    "brave",    "breezy",   "bright",   "brisk",   "calm",    "candid", "clear", "clever",
    "coastal",  "cosy",     "crisp",    "curious", "daring",  "deep",   "deft",  "eager",
    "early",    "easy",     "exact",    "fair",    "famous",  "fast",   "fine",  "fond",
    "frank",    "free",     "fresh",    "gentle",  "glad",    "golden", "grand", "great",
    "handy",    "happy",    "hardy",    "hearty",  "honest",  "humble", "ideal", "jolly",
    "keen",     "kind",     "lasting",  "leeward", "light",   "lively", "loyal", "lucid",
    "lucky",    "magnetic", "mellow",   "merry",   "mighty",  "modest", "neat",  "nimble",
    "noble",    "northern", "open",     "patient", "placid",  "polite", "prime", "proud",
    "quick",    "quiet",    "rapid",    "ready",   "regal",   "robust", "rosy",  "sandy",
    "serene",   "sharp",    "silent",   "silver",  "sincere", "smart",  "snug",  "solid",
    "southern", "spry",     "stable",   "steady",  "still",   "sturdy", "sunny", "swift",
    "tidal",    "tidy",     "tranquil", "trim",    "true",    "upbeat", "vivid", "warm",
    "wise",     "witty",    "zesty",
};
static const char *const surnames[] = {
    "amundsen",   "anning",     "babbage",      "banks",     "barents",    "beaufort", "bering",
    "bligh",      "bonny",      "bougainville", "brendan",   "byrd",       "cabot",    "carson",
    "cartier",    "chichester", "cook",         "cousteau",  "curie",      "dampier",  "darwin",
    "davis",      "dias",       "drake",        "earhart",   "ericson",    "euler",    "faraday",
    "fitzroy",    "flinders",   "franklin",     "frobisher", "galileo",    "gama",     "gauss",
    "goodall",    "hamilton",   "harrison",     "heyerdahl", "hopper",     "hudson",   "humboldt",
    "huygens",    "jemison",    "johnson",      "kelvin",    "kepler",     "knuth",    "laperouse",
    "lovelace",   "macarthur",  "magellan",     "maury",     "maxwell",    "mercator", "mitchell",
    "nansen",     "nelson",     "newton",       "noether",   "pascal",     "peary",    "polo",
    "ptolemy",    "raleigh",    "ride",         "ritchie",   "ross",       "sagan",    "scott",
    "shackleton", "slocum",     "somerville",   "stark",     "stevens",    "tasman",   "tharp",
    "thompson",   "torres",     "turing",       "vancouver", "verrazzano", "vespucci", "wallis",
    "weddell",    "wilkins",    "yonath",       "zheng",
};

static unsigned pick(unsigned below)
{
    unsigned n = 0;

    if (getrandom(&n, sizeof(n), 0) != sizeof(n))
        abort();
    return n % below;
}

char *name_made_up(unsigned attempt)
{
    const char *adjective = adjectives[pick(COUNT(adjectives))];
    const char *surname = surnames[pick(COUNT(surnames))];

    if (attempt == 0)
        return xasprintf("%s_%s", adjective, surname);
    return xasprintf("%s_%s%u", adjective, surname, pick(10));
}

err *name_check(const char *name)
{
    bool fine = isalnum((unsigned char)name[0]) && name[1];

    for (const char *p = name; fine && *p; p++)
        fine = isalnum((unsigned char)*p) || strchr("_.-", *p);
    if (!fine)
        return err_new(ERR_INVALID,
                       "Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
                       name);
    return NULL;
}
