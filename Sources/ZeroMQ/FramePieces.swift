/// Splits frames that are larger than a wire frame may be.
///
/// A wire frame of exactly ``byteCount`` bytes is continued by the next wire frame of its message, if there is one. So
/// a large frame travels in pieces of that size and a shorter last piece. The last piece is empty when the frame's size
/// is a multiple of ``byteCount`` and other frames of the message follow. Smaller frames are not split.
struct FramePieces {
    /// The size of a piece that the next one continues.
    let byteCount: Int

    init(byteCount: Int) {
        self.byteCount = max(byteCount, 1)
    }

    /// The wire frames of a message; they share the bytes of its frames.
    func split(_ frames: [Frame]) -> [Frame] {
        guard frames.contains(where: { $0.byteCount >= byteCount }) else { return frames }
        var pieces: [Frame] = []
        for (index, frame) in frames.enumerated() {
            var offset = 0
            while frame.byteCount - offset > byteCount {
                pieces += frame.subframe(byteOffset: offset, byteCount: byteCount).map { [$0] } ?? []
                offset += byteCount
            }
            pieces += frame.subframe(byteOffset: offset, byteCount: frame.byteCount - offset).map { [$0] } ?? []
            if frame.byteCount - offset == byteCount, index + 1 < frames.count { pieces.append("") }
        }
        return pieces
    }

    /// Whether another piece follows in the same message.
    func isContinued(_ piece: Frame) -> Bool { piece.byteCount == byteCount }

    /// Joins the pieces of a frame; a single piece is not copied.
    static func join(_ pieces: [Frame]) -> Frame {
        guard pieces.count > 1 || pieces.isEmpty else { return pieces[0] }
        return Frame(joining: pieces)
    }
}
