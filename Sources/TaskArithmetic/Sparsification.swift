import LinearAlgebra
import RandomNumbers

/// Which elements of a task vector a method keeps.
public enum Sparsification: Sendable {
    /// The largest.
    case largest
    /// Those below the largest, which may be outliers.
    case belowOutliers
    /// Each with the same probability.
    case atRandom
    /// Each with a probability that grows with its rank in its row.
    case atRandomByRank
}

/// Keeps a share of a task vector's elements, and sets the others to zero.
///
/// Source: mergekit's `sparsify`, with its order of steps: choose, then rescale.
struct Sparsifier {
    let sparsification: Sparsification
    /// Whether what is kept is scaled to the L1 norm of all.
    let keepsNorm: Bool
    /// Whether each kept element is divided by its probability.
    let dividesByProbability: Bool

    /// Reads what the job says.
    init(
        _ sparsification: Sparsification, rescalesByDefault: Bool, _ arguments: MergeArguments
    ) throws(TaskArithmeticError) {
        self.sparsification = sparsification
        let rescales = try arguments.truth(.rescale(default: rescalesByDefault))
        let byProbability = try arguments.word(.rescaleBy) == "probability"
        keepsNorm = rescales && !byProbability
        dividesByProbability = rescales && byProbability
    }

    /// Keeps a share of the elements.
    ///
    /// - Parameters:
    ///   - values: Δ_t of the tensor, row by row.
    ///   - columns: The length of a row.
    ///   - model: Its own parameters and random numbers.
    ///   - threshold: The smallest magnitude that is kept, where it follows from the whole model.
    /// - Throws: ``TaskArithmeticError`` for a model without the numbers that the method draws.
    func apply(
        to values: inout MutableSpan<Double>, columns: Int, of model: MergedModel, threshold: Float?
    ) throws(TaskArithmeticError) {
        let density = try model.arguments.number(.density)
        guard density < 1 else { return }
        let norm = keepsNorm ? Self.norm(values.span) : 0
        // Truncated in binary floating point, as in mergekit: 0.29 of 100 are 28.
        let kept = max(1, Int(density * Double(values.count)))
        switch sparsification {
        case .largest:
            if let threshold {
                for index in values.indices where Float(values[index].magnitude) < threshold { values[index] = 0 }
            } else {
                Self.keepLargest(kept, of: &values)
            }
        case .belowOutliers:
            let top = Int(try model.arguments.number(.gamma) * Double(values.count))
            Self.keepBelow(min(top, values.count - kept), kept, of: &values)
        case .atRandom: try keepRandom(density, of: &values, try Self.stream(of: model))
        case .atRandomByRank:
            let spread = try model.arguments.number(.epsilon)
            try keepByRank(density, spread: spread, of: &values, columns: columns, try Self.stream(of: model))
        }
        guard keepsNorm else { return }
        let remaining = Self.norm(values.span)
        guard remaining > 0 else { return }
        for index in values.indices { values[index] *= norm / remaining }
    }

    private static func norm(_ values: Span<Double>) -> Double {
        var sum = 0.0
        for index in values.indices { sum += values[index].magnitude }
        return sum
    }

    private static func stream(of model: MergedModel) throws(TaskArithmeticError) -> RandomStream {
        guard let stream = model.randomStream else { throw .unexpectedOperands("a model without random numbers") }
        return stream
    }

    // MARK: - By magnitude

    private static func keepLargest(_ count: Int, of values: inout MutableSpan<Double>) {
        var largest = LargestMagnitudes(count, of: values.span)
        for index in values.indices where !largest.takes(next: values[index]) { values[index] = 0 }
    }

    /// Drops the `top` largest elements, and keeps the next `count`.
    private static func keepBelow(_ top: Int, _ count: Int, of values: inout MutableSpan<Double>) {
        var outliers = LargestMagnitudes(top, of: values.span)
        var candidates = LargestMagnitudes(top + count, of: values.span)
        for index in values.indices {
            let isOutlier = outliers.takes(next: values[index])
            if !candidates.takes(next: values[index]) || isOutlier { values[index] = 0 }
        }
    }

    // MARK: - At random

    private func keepRandom(
        _ density: Double, of values: inout MutableSpan<Double>, _ stream: RandomStream
    ) throws(TaskArithmeticError) {
        let scale = dividesByProbability ? 1 / density : 1
        var isKept = [Bool](repeating: false, count: min(values.count, 4096))
        for first in stride(from: 0, to: values.count, by: isKept.count) {
            let count = min(isKept.count, values.count - first)
            do {
                var span = isKept.mutableSpan
                var part = span._mutatingExtracting(first: count)
                try stream.fillKept(probability: density, from: first, into: &part)
            } catch {
                throw .unexpectedOperands("a density of \(density)")
            }
            for index in 0..<count { values[first + index] = isKept[index] ? values[first + index] * scale : 0 }
        }
    }

    private func keepByRank(
        _ density: Double, spread: Double, of values: inout MutableSpan<Double>, columns: Int, _ stream: RandomStream
    ) throws(TaskArithmeticError) {
        let lowest = density - spread
        for row in stride(from: 0, to: values.count, by: columns) {
            let ranks = MagnitudeRanks.ascending(values.span.extracting(row..<row + columns))
            for column in 0..<columns {
                let share = columns == 1 ? 0.5 : Double(ranks[column]) / Double(columns - 1)
                let probability = lowest + 2 * spread * share
                let isKept: Bool
                do { isKept = try stream.isKept(row + column, probability: probability) } catch {
                    throw .unexpectedOperands("a density of \(density) with an epsilon of \(spread)")
                }
                if !isKept {
                    values[row + column] = 0
                } else if dividesByProbability {
                    values[row + column] /= probability
                }
            }
        }
    }
}
