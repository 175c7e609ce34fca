import JobPlan
import LinearAlgebra
import UnitOperations

/// The state of every tensor of a merged checkpoint.
struct MergedTensors: Equatable, Sendable {
    /// The state of one tensor.
    enum State: Int, Sendable {
        /// Merged, and different from the base's.
        case changed
        /// Merged, and equal to the base's: no model differs, or the differences cancel or round away.
        case unchanged
        /// Copied from the base, because it cannot be summed.
        case copied
    }

    /// One tensor.
    struct Tensor: Equatable, Sendable {
        /// The tensor's state.
        var state: State
        /// The positions of the tasks whose tensor differs from the base's; tasks of weight 0 are not compared.
        var differing: Set<Int> = []
        /// The number of NaN and infinities that were read, by checkpoint: 0 for the base, else the task's position +
        /// 1.
        var nonFinite: [Int: Int] = [:]
        /// What rounding lost, measured in samples of what the coordinator merges.
        var loss = RoundingLoss()

        /// Adds what is known of another part of the tensor.
        mutating func join(_ other: Tensor) {
            if other.state == .changed { state = .changed }
            differing.formUnion(other.differing)
            nonFinite.merge(other.nonFinite, uniquingKeysWith: +)
            loss.add(other.loss)
        }
    }

    /// The tensors, in the order of the base's files.
    var tensors: [Tensor] = []

    /// The bits that a set of tensors uses in one double; sets are stored as numbers in journals and on the wire.
    private static let wordBits = 48
}

// MARK: - As a unit's measurements

extension MergedTensors {
    /// The measurements of a unit's result.
    func measurements(taskCount: Int) -> [MeasurementName: [Double]] {
        var words: [Double] = []
        for task in 0..<taskCount {
            for first in stride(from: 0, to: tensors.count, by: Self.wordBits) {
                let chunk = tensors[first..<min(first + Self.wordBits, tensors.count)]
                words.append(
                    chunk.reversed().reduce(0) { $0 * 2 + ($1.differing.contains(task) ? 1 : 0) })
            }
        }
        let counts = tensors.enumerated().flatMap { position, tensor in
            tensor.nonFinite.sorted { $0.key < $1.key }.flatMap {
                [Double(position), Double($0.key), Double($0.value)]
            }
        }
        return [
            .tensorStates: tensors.map { Double($0.state.rawValue) }, .differingTensors: words, .nonFinite: counts,
            .roundingLoss: tensors.contains { $0.loss != RoundingLoss() }
                ? tensors.flatMap { [$0.loss.errorSquares, $0.loss.changeSquares] } : [],
        ]
    }

    /// Reads what ``measurements(taskCount:)`` wrote; nil for other measurements.
    init?(_ measurements: [MeasurementName: [Double]], taskCount: Int) {
        guard let states = measurements[.tensorStates], let words = measurements[.differingTensors] else { return nil }
        let wordCount = (states.count + Self.wordBits - 1) / Self.wordBits
        guard words.count == wordCount * taskCount else { return nil }
        for value in states {
            guard let state = Int(exactly: value).flatMap(State.init(rawValue:)) else { return nil }
            tensors.append(Tensor(state: state))
        }
        for task in 0..<taskCount {
            for position in tensors.indices {
                let word = words[task * wordCount + position / Self.wordBits]
                guard let bits = UInt64(exactly: word) else { return nil }
                if bits >> UInt64(position % Self.wordBits) & 1 == 1 { tensors[position].differing.insert(task) }
            }
        }
        let losses = measurements[.roundingLoss] ?? []
        guard losses.isEmpty || losses.count == 2 * states.count else { return nil }
        for position in tensors.indices where !losses.isEmpty {
            tensors[position].loss = RoundingLoss(
                errorSquares: losses[2 * position], changeSquares: losses[2 * position + 1])
        }
        let counts = (measurements[.nonFinite] ?? []).map { Int(exactly: $0) ?? -1 }
        for first in stride(from: 0, to: counts.count - 2, by: 3) where tensors.indices.contains(counts[first]) {
            tensors[counts[first]].nonFinite[counts[first + 1]] = counts[first + 2]
        }
    }
}
