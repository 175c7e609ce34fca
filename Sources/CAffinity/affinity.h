#pragma once

// The processors that a process may run on. Glibc declares the call under _GNU_SOURCE only, which Swift's module of it
// does not define. Source: sched_getaffinity(2); the mask is as long as the caller says, one bit a processor.
extern int sched_getaffinity(int process, unsigned long byteCount, void *mask);
