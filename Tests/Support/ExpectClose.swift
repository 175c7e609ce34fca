public import Testing

/// Expects equal lengths and `|found − expected| ≤ absolute + relative · |expected|` for each pair.
///
/// A failure names the worst pair.
///
/// - Parameters:
///   - found: The values of the code under test.
///   - expected: The true values.
///   - relative: Tolerance as a share of the expected magnitude.
///   - absolute: Additional tolerance.
///   - sourceLocation: The location for a failure's report.
public func expectClose<Found: BinaryFloatingPoint, Expected: BinaryFloatingPoint>(
    _ found: [Found],
    _ expected: [Expected],
    relative: Double = 0,
    absolute: Double = 0,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    guard found.count == expected.count else {
        Issue.record("\(found.count) values; expected \(expected.count)", sourceLocation: sourceLocation)
        return
    }
    var worst: (index: Int, excess: Double)?
    for (index, pair) in zip(found, expected).enumerated() {
        let (value, truth) = (Double(pair.0), Double(pair.1))
        let tolerance = absolute + relative * truth.magnitude
        let difference = (value - truth).magnitude
        // Infinite for a NaN, and for any difference if none is tolerated.
        let excess = difference == 0 ? 0 : difference.isNaN ? .infinity : difference / tolerance
        if excess > worst?.excess ?? 1 { worst = (index, excess) }
    }
    guard let worst else { return }
    let (value, truth) = (Double(found[worst.index]), Double(expected[worst.index]))
    let message = """
        index \(worst.index) of \(found.count): \(value); expected \(truth), difference \((value - truth).magnitude), \
        \(worst.excess) times the tolerance (relative \(relative), absolute \(absolute))
        """
    Issue.record("\(message)", sourceLocation: sourceLocation)
}

/// Expects one number close to another; see the function for arrays.
///
/// - Parameters:
///   - found: The value of the code under test.
///   - expected: The true value.
///   - relative: Tolerance as a share of the expected magnitude.
///   - absolute: Additional tolerance.
///   - sourceLocation: The location for a failure's report.
public func expectClose(
    _ found: Double,
    _ expected: Double,
    relative: Double = 0,
    absolute: Double = 0,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    expectClose([found], [expected], relative: relative, absolute: absolute, sourceLocation: sourceLocation)
}
