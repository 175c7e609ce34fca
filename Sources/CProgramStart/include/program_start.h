#ifndef KFACD_PROGRAM_START_H
#define KFACD_PROGRAM_START_H

/// Whether the limits of the process were checked before the libraries were initialised; always 1 in a program.
///
/// OpenBLAS allocates memory and starts threads while it is loaded. If it gets neither, it ends the process or tries
/// for ever. So the check runs before that: it prints one sentence to standard error and exits with 1.
int kfacd_looked_at_limits(void);

/// How many of the program's own threads were tried before the libraries were initialised.
int kfacd_tried_threads(void);

/// Starts threads together and ends them, because a limit shows only when a thread is refused.
///
/// Returns `wanted`, or the smaller number of threads that a limit allows. At most 512 are tried.
int kfacd_available_threads(int wanted);

#endif
