import LinearAlgebra
import UnitOperations

/// The predicted seconds of a merged checkpoint, which the coordinator writes with several threads.
struct CheckpointSeconds {
    /// Threads share the merge element by element.
    private(set) var shared = UnitSeconds()
    /// One thread copies tensors, and what workers merged.
    private(set) var copying = UnitSeconds()
    /// Another one takes the digest of the file as it grows.
    private(set) var digest = UnitSeconds()

    /// Adds the parts up.
    init(of parts: CheckpointParts, rates: MachineRates) {
        for sample in parts.summed {
            let elements = sample.work
            // Without a pace, as if every model were added in a pass of its own.
            let pace = rates.merges[sample.kind]?.seconds ?? Double(sample.models.count + 1) / rates.elementSums
            shared.kernels += elements * pace
            shared.reading += sample.bytesRead(elements: elements) / rates.reading
            shared.writing += elements * Double(sample.outputType.byteCount) / rates.writing
        }
        let copied = parts.copiedBytes + parts.mergedBytes
        // What workers merged is hashed once more, because it was stored.
        copying.reading = copied / rates.reading + parts.mergedBytes / rates.hashing
        copying.writing = copied / rates.writing
        digest.writing = parts.outputBytes / rates.reading + parts.outputBytes / rates.hashing
        copying.handling = MachineRates.handlingSeconds
    }

    /// The seconds of all threads.
    var busy: UnitSeconds {
        var sum = shared
        sum += copying
        sum += digest
        return sum
    }

    /// The seconds from its start to its end, on processors that do nothing else.
    func elapsed(threads: Int) -> Double {
        max(shared.total / Double(max(1, threads)) + copying.total, digest.total)
    }
}
