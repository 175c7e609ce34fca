/// Arithmetic for estimates of sizes: a result that does not fit becomes the largest number, which exceeds every limit.
///
/// Dimensions come from headers of untrusted files, so no product of them may trap.
extension FixedWidthInteger {
    /// The product, or the largest number if it does not fit.
    ///
    /// Both numbers must be at least 0.
    public func saturatingProduct(_ other: Self) -> Self {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? .max : product
    }

    /// The sum, or the largest number if it does not fit.
    ///
    /// Both numbers must be at least 0.
    public func saturatingSum(_ other: Self) -> Self {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
