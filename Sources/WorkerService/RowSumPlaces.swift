import Messaging
import Synchronization
import UnitOperations

/// The lane of a sum of rows, and whether the sum is void.
///
/// A sum becomes void at once when its stream ends, so that its lane does nothing more for it.
final class RowSumPlace: Sendable {
    let name: RowSumName
    let lane: Int
    /// Multiply-adds for a row.
    let weight: Double
    private let voided = Atomic<Bool>(false)

    var isVoid: Bool { voided.load(ordering: .acquiring) }

    init(name: RowSumName, lane: Int, weight: Double) {
        (self.name, self.lane, self.weight) = (name, lane, weight)
    }

    func void() { voided.store(true, ordering: .releasing) }
}

/// Which lane has which sum.
struct RowSumPlaces {
    /// The weight of the sums of each lane.
    private var weights: [Double]
    private var streams: [UInt64: [Int: RowSumPlace]] = [:]

    /// The number of sums.
    var count: Int { streams.values.reduce(0) { $0 + $1.count } }

    /// Starts without sums.
    init(laneCount: Int) {
        weights = Array(repeating: 0, count: laneCount)
    }

    /// What the lanes must do about a word.
    ///
    /// A word about an unknown sum was on its way when the stream ended, and is ignored.
    mutating func work(for word: WorkerConnection.RowWord) -> [(lane: Int, RowWork)] {
        switch word {
        case .forgotten: return streams.keys.sorted().flatMap { forget($0) }
        case .order(.end(let stream), _): return forget(stream)
        case .order(let order, let rows):
            guard case .begin(let name, let shape, _) = order else {
                guard let name = order.name, let place = streams[name.stream]?[name.sum] else { return [] }
                return [(place.lane, .order(order, rows: rows, place))]
            }
            let place = streams[name.stream]?[name.sum] ?? begin(name, shape)
            return [(place.lane, .order(order, rows: rows, place))]
        }
    }

    /// Gives a sum to the lane whose sums cost least.
    private mutating func begin(_ name: RowSumName, _ shape: RowSumShape) -> RowSumPlace {
        let lane = weights.indices.min { weights[$0] < weights[$1] } ?? 0
        let place = RowSumPlace(name: name, lane: lane, weight: shape.rowMultiplyAdds)
        weights[lane] += place.weight
        streams[name.stream, default: [:]][name.sum] = place
        return place
    }

    private mutating func forget(_ stream: UInt64) -> [(lane: Int, RowWork)] {
        let places = streams.removeValue(forKey: stream).map { Array($0.values) } ?? []
        for place in places {
            place.void()
            weights[place.lane] -= place.weight
        }
        return Dictionary(grouping: places, by: \.lane).map { ($0, .forget($1.map(\.name))) }
    }
}
