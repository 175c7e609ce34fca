import LinearAlgebra
import RandomNumbers

/// Which elements of a vector are kept: those whose magnitude is among the largest, but not among the very largest.
///
/// Magnitudes are compared by their ``MagnitudeKey``, and among equal ones the lowest index comes first. A factor
/// belongs to what is kept.
struct KeptMagnitudes: Equatable, Sendable {
    /// How many numbers describe it.
    static let numberCount = 5

    /// The key of the smallest magnitude that is kept.
    var lowest: UInt32 = 0
    /// Elements of the lowest key are kept if they stand before this index.
    var lowestEnd = Int.max
    /// The key of the smallest magnitude that is too large.
    var outlier = MagnitudeKey.beyondAll
    /// Elements of the outliers' key are outliers if they stand before this index.
    var outlierEnd = Int.max
    /// The factor of what is kept.
    var scale = 1.0
}

extension KeptMagnitudes {
    /// The description as numbers.
    var numbers: [Double] {
        [Double(lowest), Self.number(lowestEnd), Double(outlier), Self.number(outlierEnd), scale]
    }

    /// Reads the description of each model.
    ///
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for numbers that describe none.
    static func list(_ numbers: [Double]) throws(TaskArithmeticError) -> [KeptMagnitudes] {
        var list: [KeptMagnitudes] = []
        for first in stride(from: 0, to: numbers.count, by: numberCount) {
            guard numbers.count - first >= numberCount, let lowest = UInt32(exactly: numbers[first]),
                let outlier = UInt32(exactly: numbers[first + 2]), lowest <= MagnitudeKey.beyondAll,
                outlier <= MagnitudeKey.beyondAll, numbers[first + 4].isFinite
            else { throw .unexpectedOperands("\(numbers.count) numbers of a tensor") }
            list.append(
                KeptMagnitudes(
                    lowest: lowest, lowestEnd: index(numbers[first + 1]), outlier: outlier,
                    outlierEnd: index(numbers[first + 3]), scale: numbers[first + 4]))
        }
        return list
    }

    /// No end is −1, so that all numbers are exact.
    private static func number(_ end: Int) -> Double { end == .max ? -1 : Double(end) }

    private static func index(_ number: Double) -> Int {
        Int(exactly: number).map { $0 < 0 ? .max : $0 } ?? .max
    }

    /// Sets all other elements to zero; scales nothing.
    ///
    /// - Parameters:
    ///   - values: Consecutive elements.
    ///   - first: The index of their first.
    func keep(in values: inout MutableSpan<Double>, from first: Int) {
        guard lowest > 0 || outlier < MagnitudeKey.beyondAll else { return }
        // The bounds of the keys change where an end lies, so a block has at most three parts.
        let ends = [lowestEnd, outlierEnd].filter { $0 > first && $0 < first + values.count }.sorted()
        var start = first
        for end in ends + [first + values.count] where end > start {
            let low = start < lowestEnd ? lowest : lowest + 1
            let high = outlier == MagnitudeKey.beyondAll ? outlier : start < outlierEnd ? outlier : outlier + 1
            var part = values._mutatingExtracting(start - first..<end - first)
            MagnitudeKey.keep(min(low, high)..<high, of: &part)
            start = end
        }
    }
}

extension Sparsification {
    /// Sets the elements to zero that a method does not keep.
    ///
    /// - Parameters:
    ///   - values: Consecutive elements of Δ_t.
    ///   - first: The index of their first in the tensor.
    ///   - model: Its own parameters and random numbers.
    ///   - kept: The bounds of what is kept, for a method of magnitudes.
    /// - Throws: ``TaskArithmeticError`` for a model without the numbers that the method draws.
    func thin(
        _ values: inout MutableSpan<Double>, from first: Int, of model: MergedModel, _ kept: KeptMagnitudes
    ) throws(TaskArithmeticError) {
        switch self {
        case .largest, .belowOutliers: kept.keep(in: &values, from: first)
        case .atRandom:
            let density = try model.arguments.number(.density)
            guard density < 1 else { return }
            guard let stream = model.randomStream else { throw .unexpectedOperands("a model without random numbers") }
            var isKept = [Bool](repeating: false, count: values.count)
            do {
                var span = isKept.mutableSpan
                try stream.fillKept(probability: density, from: first, into: &span)
            } catch {
                throw .unexpectedOperands("a density of \(density)")
            }
            VectorOperations.keep(marked: isKept.span, of: &values)
        case .atRandomByRank: throw .unexpectedOperands("a method of ranks")
        }
    }
}
