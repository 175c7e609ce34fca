/// Sizes as estimates count them: what does not fit is the largest number, which no limit admits.
///
/// Dimensions come from headers of files that may be hostile or sparse: no product of them may trap.
extension FixedWidthInteger {
    /// The product, or the largest number when it does not fit; of numbers of at least 0.
    public func saturatingProduct(_ other: Self) -> Self {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? .max : product
    }

    /// The sum, or the largest number when it does not fit; of numbers of at least 0.
    public func saturatingSum(_ other: Self) -> Self {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
