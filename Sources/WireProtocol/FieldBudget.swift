/// Counts the fields of a message before it is decoded, since an empty one of two bytes becomes a value of fifty times
/// that size.
///
/// It does not know the schema. It reads every value that may be a message as one, down to the deepest lists, and stops
/// where it is none. So it counts texts too: at most one field for each two bytes.
/// Source: protobuf.dev, "Encoding".
struct FieldBudget {
    /// Messages inside each other that hold lists: envelope, lease, operation, side of an operation, and one to spare.
    private static let depthMax = 5

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
            // Groups, which the schema has none of, count field by field.
            case 3, 4: break
            default: return
            }
        }
    }

    /// A number of seven bits a byte, the lowest first; `nil` at the end or when it has more than 64 bits.
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
