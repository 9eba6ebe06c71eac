/* check.h - what dockerd refuses of a network.  Loop thread only; no I/O. */
#ifndef BERTH_NETWORK_CHECK_H
#define BERTH_NETWORK_CHECK_H

#include "private.h"

enum { ENDPOINT_NAMES_MAX = 128, ENDPOINT_NAME_MAX = 255 };

/* Subnets, ranges, gateways, auxiliary addresses: ERR_INVALID with every complaint.  NULL is fine.
 */
must_check err *check_ipam(const ipam_settings *want, bool ipv6);

#endif
