import Identifiers

// The checks that every decoder shares. The values come from a peer that may be hostile, so no value may trap.

/// Reads a number as a count that fits `Int` and a limit.
func count(_ value: some BinaryInteger, _ what: String, most: Int = WireLimits.countMax) throws(WireError) -> Int {
    guard let count = Int(exactly: value), count >= 0, count <= most else {
        throw .malformed("\(what) is \(value)")
    }
    return count
}

/// Reads a word of an enumeration.
func word<Word: RawRepresentable<String>>(_ text: String, _ what: String) throws(WireError) -> Word {
    guard let word = Word(rawValue: text) else { throw .malformed("\(what) is \"\(text.excerpt)\"") }
    return word
}

/// Reads a duration in seconds.
func seconds(_ value: Double) throws(WireError) -> Double {
    guard value >= 0, value <= 1e10 else { throw .malformed("a duration is \(value) seconds") }
    return value
}

/// A sentence from a peer; it may have any length, so only its beginning is shown.
func sentence(_ text: String) -> String {
    guard text.utf8.count > 10_000 else { return text.printableLines }
    return String(String.UnicodeScalarView(text.unicodeScalars.prefix(10_000))).printableLines + "…"
}

/// Reads a digest of 64 hexadecimal digits.
func digest(_ text: String) throws(WireError) -> BlobDigest {
    guard let digest = BlobDigest(hexadecimal: text) else {
        throw .malformed("\"\(text.excerpt)\" is no SHA-256 digest")
    }
    return digest
}

/// Decodes a list of at most ``WireLimits/listCountMax`` items.
func list<Item, Value>(
    _ items: [Item], _ what: String, _ decode: (Item) throws(WireError) -> Value
) throws(WireError) -> [Value] {
    guard items.count <= WireLimits.listCountMax else { throw .malformed("\(what) has \(items.count) items") }
    var values: [Value] = []
    values.reserveCapacity(items.count)
    for item in items { values.append(try decode(item)) }
    return values
}

extension BlobReference {
    init(_ wire: WireBlob) throws(WireError) {
        let digest = try WireProtocol.digest(wire.digest)
        guard wire.byteCount > 0, wire.byteCount <= UInt64(Int.max) else {
            throw .malformed("a blob has \(wire.byteCount) bytes")
        }
        self.init(digest: digest, byteCount: wire.byteCount)
    }

    var wire: WireBlob {
        var wire = WireBlob()
        wire.digest = digest.description
        wire.byteCount = byteCount
        return wire
    }
}
