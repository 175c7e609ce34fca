#pragma once

// The processors that a process may run on. Glibc declares the call only under _GNU_SOURCE, which Swift's Glibc module
// does not define. Source: sched_getaffinity(2). The caller gives the mask's length; the mask has one bit for each
// processor.
extern int sched_getaffinity(int process, unsigned long byteCount, void *mask);
