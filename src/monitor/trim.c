/* trim.c - an idle monitor gives back what it does not need to wait.
 *
 * The kernel maps whatever of a program is in the page cache around each page that is used, so
 * nearly all of this one counts as resident.  Dropping the read-only segments costs nothing but a
 * few faults at the next event; the file's pages stay cached and are shared by all monitors.  One
 * thread. */
#include "trim.h"
#include <link.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

/* Where the program was loaded, less where it says it wants to be: 0 unless position independent.
 */
static uintptr_t load_offset(const ElfW(Phdr) * headers, unsigned long n)
{
    for (unsigned long i = 0; i < n; i++) {
        if (headers[i].p_type == PT_PHDR)
            return (uintptr_t)headers - headers[i].p_vaddr;
    }
    return 0;
}

void trim_program(void)
{
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    unsigned long n = getauxval(AT_PHNUM);
    uintptr_t offset = load_offset(headers, n);
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    for (unsigned long i = 0; i < n; i++) {
        uintptr_t begin = offset + headers[i].p_vaddr, end = begin + headers[i].p_filesz;

        /* A writable segment holds what was changed since the start: never that. */
        if (headers[i].p_type != PT_LOAD || (headers[i].p_flags & PF_W))
            continue;
        begin &= ~(page - 1);
        end = (end + page - 1) & ~(page - 1);
        (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
    }
}
