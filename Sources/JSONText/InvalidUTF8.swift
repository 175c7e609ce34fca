/// The first byte of a range that is not part of valid UTF-8, or nil.
public func firstInvalidUTF8(in bytes: [UInt8], _ range: Range<Int>) -> Int? {
    do throws(Unicode.UTF8.ValidationError) {
        _ = try UTF8Span(validating: bytes.span.extracting(range))
        return nil
    } catch {
        return range.lowerBound + error.byteOffsets.lowerBound
    }
}
