import LinearAlgebra
import UnitOperations

/// The memory that workers have for sums of rows, and the decision which of them has a sum.
struct RowWorkers<Peer: Hashable & Sendable>: Sendable {
    private struct Worker {
        let number: Int
        let capacity: UInt64
        let lanes: Int
        var acceptsMore = true
        /// Memory of sums, and their multiply-adds for each row.
        var used: UInt64 = 0
        var load = 0.0
        /// The products' scratch of each sum; every lane has the largest.
        var scratch: [UInt64: Int] = [:]

        var scratchBytes: UInt64 { (scratch.keys.max() ?? 0).saturatingProduct(UInt64(lanes)) }

        func hasRoom(for shape: RowSumShape) -> Bool {
            let scratch = max(scratchBytes, shape.scratchBytes.saturatingProduct(UInt64(lanes)))
            return used.saturatingSum(shape.memoryBytes).saturatingSum(scratch) <= capacity
        }

        mutating func take(_ shape: RowSumShape) {
            used += shape.memoryBytes
            load += shape.shape.productMultiplyAdds
            scratch[shape.scratchBytes, default: 0] += 1
        }

        mutating func give(back shape: RowSumShape) {
            used -= shape.memoryBytes
            load -= shape.shape.productMultiplyAdds
            let others = (scratch[shape.scratchBytes] ?? 1) - 1
            scratch[shape.scratchBytes] = others > 0 ? others : nil
        }
    }

    private var workers: [Peer: Worker] = [:]
    private var nextNumber = 0

    /// Adds a worker without sums.
    mutating func join(_ peer: Peer, memoryBytes: UInt64, lanes: Int) {
        guard memoryBytes > 0, workers[peer] == nil else { return }
        workers[peer] = Worker(number: nextNumber, capacity: memoryBytes, lanes: lanes)
        nextNumber += 1
    }

    /// Gives a worker no more sums.
    mutating func drain(_ peer: Peer) { workers[peer]?.acceptsMore = false }

    /// Forgets a worker.
    mutating func leave(_ peer: Peer) { workers[peer] = nil }

    /// Chooses a worker for each sum, and takes its memory.
    ///
    /// The largest sums come first; each goes to the worker with the least work for each lane that has room.
    ///
    /// - Parameter sums: The shapes, with their tensors for messages.
    /// - Returns: The workers in the order of the sums.
    /// - Throws: ``RowStreamError``; no memory is taken.
    mutating func assign(_ sums: [(tensor: String, shape: RowSumShape)]) throws(RowStreamError) -> [Peer] {
        let open = workers.filter(\.value.acceptsMore)
        guard let largest = open.values.map(\.capacity).max() else { throw .noWorker }
        var chosen: [Peer?] = Array(repeating: nil, count: sums.count)
        var trial = open.sorted { $0.value.number < $1.value.number }.map { (peer: $0.key, worker: $0.value) }
        let order = sums.indices.sorted {
            (sums[$0].shape.memoryBytes, $1) > (sums[$1].shape.memoryBytes, $0)
        }
        for index in order {
            let shape = sums[index].shape
            let candidates = trial.indices.filter { trial[$0].worker.hasRoom(for: shape) }
            let best = candidates.min { left, right in
                let loads = [left, right].map { trial[$0].worker.load / Double(trial[$0].worker.lanes) }
                return (loads[0], left) < (loads[1], right)
            }
            guard let best else {
                throw obstacle(sums, sums[index], largest: largest, among: open.values.map(\.self))
            }
            trial[best].worker.take(shape)
            chosen[index] = trial[best].peer
        }
        for (peer, worker) in trial { workers[peer] = worker }
        return chosen.compactMap(\.self)
    }

    private func obstacle(
        _ sums: [(tensor: String, shape: RowSumShape)], _ failed: (tensor: String, shape: RowSumShape),
        largest: UInt64, among open: [Worker]
    ) -> RowStreamError {
        let single = failed.shape.memoryBytes.saturatingSum(failed.shape.scratchBytes)
        guard single <= largest else {
            return .sumTooLarge(tensor: failed.tensor, needed: single, largest: largest)
        }
        // Every lane of every worker may compute the largest.
        let lanes = open.reduce(0) { $0 + $1.lanes }
        let scratch = (sums.map(\.shape.scratchBytes).max() ?? 0).saturatingProduct(UInt64(lanes))
        let needed = sums.reduce(scratch) { $0.saturatingSum($1.shape.memoryBytes) }
        let capacity = open.reduce(UInt64(0)) { $0.saturatingSum($1.capacity) }
        let free = open.reduce(UInt64(0)) {
            $0.saturatingSum($1.capacity - min($1.capacity, $1.used + $1.scratchBytes))
        }
        // With other streams, the sums may fit once these have ended.
        return open.allSatisfy({ $0.used == 0 })
            ? .tooLarge(needed: needed, capacity: capacity)
            : .noRoom(needed: needed, free: free)
    }

    /// Gives back the memory of a sum.
    mutating func release(_ shape: RowSumShape, of peer: Peer) { workers[peer]?.give(back: shape) }
}
