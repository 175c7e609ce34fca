/// Counts the fields of a message before it is decoded.
///
/// An empty field of two bytes decodes to a value fifty times as large, so the count bounds the memory.
///
/// The counter does not know the schema. It reads every value as a message if that is possible, down to the deepest
/// lists. So it counts texts too: at most one field for two bytes.
/// Source: protobuf.dev, "Encoding".
struct FieldBudget {
    /// The depth of nested messages with lists: envelope, sequence, lease, operation, side of an operation, and one
    /// spare.
    private static let depthMax = 6

    private var remaining: Int

    /// Whether the message has no more fields than ``WireLimits/fieldsMax``.
    static func allows(_ message: [UInt8]) -> Bool {
        var budget = FieldBudget(remaining: WireLimits.fieldsMax)
        budget.spend(on: message[...], depth: 0)
        return budget.remaining >= 0
    }

    private mutating func spend(on message: ArraySlice<UInt8>, depth: Int) {
        var rest = message
        while remaining >= 0, let tag = Self.takeNumber(from: &rest), tag >= 8 {
            remaining -= 1
            switch tag & 7 {
            case 0: guard Self.takeNumber(from: &rest) != nil else { return }
            case 1: rest = rest.dropFirst(8)
            case 2:
                guard let byteCount = Self.takeNumber(from: &rest), byteCount <= UInt64(rest.count) else { return }
                let value = rest.prefix(Int(byteCount))
                if depth < Self.depthMax { spend(on: value, depth: depth + 1) }
                rest = rest.dropFirst(value.count)
            case 5: rest = rest.dropFirst(4)
            // The schema has no groups. Their fields are counted one by one.
            case 3, 4: break
            default: return
            }
        }
    }

    /// Reads a number with seven bits in each byte, the lowest first; `nil` at the end or above 64 bits.
    private static func takeNumber(from bytes: inout ArraySlice<UInt8>) -> UInt64? {
        var number: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard let byte = bytes.popFirst() else { return nil }
            number |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return number }
        }
        return nil
    }
}
