/* driver.c - the kinds of networks by name, and the two that need nothing.  Any thread. */
#include "private.h"
#include <berth/mem.h>
#include <berth/str.h>

/* The host's namespace is there already, and one with a loopback alone is what netns_create makes.
 */
const network_driver driver_host = {.name = "host"};
const network_driver driver_null = {.name = "null", .has_netns = true};

const network_driver *driver_find(const char *name)
{
    static const network_driver *const all[] = {&driver_bridge, &driver_host, &driver_null,
                                                &driver_macvlan, &driver_ipvlan};

    for (size_t i = 0; i < COUNT(all); i++)
        if (str_eq(all[i]->name, name))
            return all[i];
    return NULL;
}
