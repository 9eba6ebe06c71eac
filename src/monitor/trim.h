/* trim.h - an idle monitor gives back what it does not need to wait. */
#ifndef MONITOR_TRIM_H
#define MONITOR_TRIM_H

void trim_program(void);

#endif
