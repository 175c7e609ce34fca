import Identifiers

/// The blobs that the coordinator wants and nobody was ordered to send, by the workers that hold them.
///
/// An order is only looked for at the workers that have such blobs and room for another order.
struct OpenCollections: Sendable {
    /// An open blob.
    private struct Entry: Sendable {
        var place: BlobWishes.Place
        var holders: [WorkerID]
    }

    private var entries: [BlobDigest: Entry] = [:]
    private var held: [WorkerID: SortedParts<BlobWishes.Place>] = [:]
    /// The blobs that a worker waits for and nobody holds.
    private(set) var unavailable = SortedParts<BlobWishes.Place>()
    /// The workers that may have both an open blob and room for an order.
    private var candidates: Set<WorkerID> = []

    /// Notes a blob's place among the open ones, or that it is not open, and its holders.
    mutating func note(_ blob: BlobDigest, _ place: BlobWishes.Place?, heldBy holders: [WorkerID]) {
        if let old = entries.removeValue(forKey: blob) {
            unavailable.remove(old.place)
            for worker in old.holders {
                held[worker]?.remove(old.place)
                if held[worker]?.isEmpty == true { held[worker] = nil }
            }
        }
        guard let place else { return }
        entries[blob] = Entry(place: place, holders: holders)
        if holders.isEmpty, place.isAwaited { unavailable.insert(place) }
        for worker in holders { held[worker, default: SortedParts()].insert(place) }
        candidates.formUnion(holders)
    }

    /// Whether the same blobs are open at the same workers, and nobody who could be ordered one is overlooked.
    func agrees(with other: OpenCollections, hasRoom: (WorkerID) -> Bool) -> Bool {
        held.count == other.held.count && unavailable.elements.elementsEqual(other.unavailable.elements)
            && held.allSatisfy { worker, places in
                other.held[worker]?.elements.elementsEqual(places.elements) == true
                    && (candidates.contains(worker) || !hasRoom(worker))
            }
    }

    /// Notes that a worker may have room for another order.
    mutating func noteRoom(of worker: WorkerID) { candidates.insert(worker) }

    /// The first blob that a worker with room for an order holds.
    mutating func next(hasRoom: (WorkerID) -> Bool) -> BlobDigest? {
        var first: BlobWishes.Place?
        for worker in candidates {
            guard let place = held[worker]?.first, hasRoom(worker) else {
                candidates.remove(worker)
                continue
            }
            if first.map({ place < $0 }) ?? true { first = place }
        }
        return first?.blob
    }
}
