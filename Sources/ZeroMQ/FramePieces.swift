/// How frames travel that are larger than a frame on the wire may be.
///
/// A wire frame of exactly ``byteCount`` bytes is continued by the next one of its message, if there is one. So a frame
/// travels in pieces of that size and a shorter last one. The last one is empty when the frame's size is a multiple of
/// the piece's and other frames of the message follow. Smaller frames travel as they are.
struct FramePieces {
    /// The size of a piece that is continued.
    let byteCount: Int

    init(byteCount: Int) {
        self.byteCount = max(byteCount, 1)
    }

    /// The wire frames of a message's frames; they share the frames' bytes.
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

    /// The frame that came in pieces; a single one is not copied.
    static func join(_ pieces: [Frame]) -> Frame {
        guard pieces.count > 1 || pieces.isEmpty else { return pieces[0] }
        return Frame(joining: pieces)
    }
}
