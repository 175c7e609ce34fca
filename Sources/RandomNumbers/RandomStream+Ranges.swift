internal import CRandomKernels

extension RandomStream {
    /// The number of blocks that are generated before they are read.
    ///
    /// Their loop has no branch and fills the vector registers.
    private static var blockBatch: Int { 8 }

    /// Writes ``uniform(at:)`` of consecutive elements.
    ///
    /// - Parameters:
    ///   - first: The first element's index in the tensor, at least 0.
    ///   - destination: One number for each element.
    public func fillUniform(from first: Int, into destination: inout MutableSpan<Float>) {
        fill(from: first, &destination) { Self.uniform($0) }
    }

    /// Writes ``normal(at:)`` of consecutive elements.
    ///
    /// - Parameters:
    ///   - first: The first element's index in the tensor, at least 0.
    ///   - destination: One number for each element.
    public func fillNormal(from first: Int, into destination: inout MutableSpan<Float>) {
        fill(from: first, &destination) { Self.normal($0) }
    }

    /// Writes ``isKept(_:probability:)`` of consecutive elements.
    ///
    /// - Parameters:
    ///   - probability: p, the same for all elements.
    ///   - first: The first element's index in the tensor, at least 0.
    ///   - destination: Whether each element is kept.
    /// - Throws: ``RandomNumbersError/notProbability(value:)``; nothing is written then.
    public func fillKept(
        probability: Double,
        from first: Int,
        into destination: inout MutableSpan<Bool>
    ) throws(RandomNumbersError) {
        let threshold = try Self.threshold(of: probability)
        let isBelow = { (word: UInt32) in UInt64(word) < threshold }
        // Whole groups of blocks are generated in vectors, and what is before and behind them in the simple way.
        let before = min(destination.count, (4 - first % 4) % 4)
        let blocks = (destination.count - before) / 16 * 4
        let (lead, rest) = (0..<before, before + 4 * blocks..<destination.count)
        do {
            var part = destination._mutatingExtracting(lead)
            fill(from: first, &part, isBelow)
        }
        do {
            var part = destination._mutatingExtracting(rest)
            fill(from: first + rest.lowerBound, &part, isBelow)
        }
        guard blocks > 0 else { return }
        let (key, upper) = ([philox.key.0, philox.key.1], [stream.0, stream.1])
        var part = destination._mutatingExtracting(before..<before + 4 * blocks)
        unsafe part.withUnsafeMutableBytes { marks in
            guard let target = marks.baseAddress else { return }
            unsafe kfacd_philox_marks(
                key, UInt64(first + before) / 4, upper, threshold, target.assumingMemoryBound(to: UInt8.self), blocks)
        }
    }

    /// Converts the words of consecutive elements.
    @inline(__always)
    private func fill<Value: BitwiseCopyable>(
        from first: Int,
        _ destination: inout MutableSpan<Value>,
        _ read: (UInt32) -> Value
    ) {
        precondition(first >= 0, "elements count from 0")
        let count = destination.count
        var index = 0
        while index < count {
            let element = first + index
            let block = UInt64(element) / 4
            let lane = element % 4
            guard lane == 0, count - index >= 4 * Self.blockBatch else {
                // The elements before the first whole block and after the last batch are converted one by one.
                let words = words(ofBlock: block)
                let lanes = lane..<min(4, lane + count - index)
                for lane in lanes { destination[index + lane - lanes.lowerBound] = read(words[lane]) }
                index += lanes.count
                continue
            }
            for batch in 0..<Self.blockBatch {
                let words = words(ofBlock: block + UInt64(batch))
                for lane in 0..<4 { destination[index + 4 * batch + lane] = read(words[lane]) }
            }
            index += 4 * Self.blockBatch
        }
    }
}
