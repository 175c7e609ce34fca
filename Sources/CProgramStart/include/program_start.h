#ifndef KFACD_PROGRAM_START_H
#define KFACD_PROGRAM_START_H

/// Whether the limits of the process were checked before the libraries were initialised; always 1 in a program.
///
/// OpenBLAS allocates memory and starts threads while it is loaded. If it gets neither, it ends the process or tries
/// for ever. So the check runs before that: it prints one sentence to standard error and exits with 1.
int kfacd_looked_at_limits(void);

#endif
