// The BLAS and LAPACK routines that kfacd is measured against, called as a plain C program calls them.
#ifndef KFACD_PLAIN_BLAS_H
#define KFACD_PLAIN_BLAS_H

void cblas_ssyrk(
    int order, int uplo, int trans, int n, int k, float alpha, const float *a, int lda, float beta, float *c, int ldc);
void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);
void dpotri_(const char *uplo, const int *n, double *a, const int *lda, int *info);
void openblas_set_num_threads(int count);

#endif
