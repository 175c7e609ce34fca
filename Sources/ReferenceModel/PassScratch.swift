/// Buffers that are used within one block of one pass; all blocks share them.
struct PassScratch: Sendable {
    /// Samples and positions of the loaded batch.
    var samples = 0
    let positions: Int
    /// `[rows, width]`, twice.
    var first: [Float]
    var second: [Float]
    /// `[rows, 3 · width]`.
    var fused: [Float]
    /// `[rows, hidden]`.
    var hidden: [Float]

    init(shape: VisionTransformerShape, sampleCapacity: Int) {
        let rows = sampleCapacity * shape.positionCount
        positions = shape.positionCount
        first = Array(repeating: 0, count: rows * shape.width)
        second = first
        fused = Array(repeating: 0, count: rows * 3 * shape.width)
        hidden = Array(repeating: 0, count: rows * shape.hiddenWidth)
    }

    var rows: Int { samples * positions }
}
