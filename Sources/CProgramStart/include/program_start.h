#ifndef KFACD_PROGRAM_START_H
#define KFACD_PROGRAM_START_H

/// Whether the limits of the process were looked at before the libraries began; always 1 in a program.
///
/// A library that allocates and begins threads as it is loaded (OpenBLAS) ends the process, or tries for ever, when it
/// gets neither. So what lacks is said before that, in one sentence on standard error, and the process ends with 1.
int kfacd_looked_at_limits(void);

#endif
