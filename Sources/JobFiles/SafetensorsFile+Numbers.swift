import LinearAlgebra
import Safetensors

/// Numbers of a file, in fp64.
extension SafetensorsFile {
    /// Bytes that are read at a time.
    private static let pieceByteCount = 4 << 20

    /// Ranges of bytes that are read one after the other; each has a whole number of elements of any type.
    static func pieces(of range: Range<Int>) -> [Range<Int>] {
        stride(from: range.lowerBound, to: range.upperBound, by: pieceByteCount).map {
            $0..<min($0 + pieceByteCount, range.upperBound)
        }
    }

    /// Some elements, from a byte of the file on.
    func numbers(_ type: ElementType, _ offset: Int, count: Int) throws(JobFileError) -> [Double] {
        let bytes = try bytes(offset..<offset + count * type.byteCount)
        return try decoded(bytes.span.bytes, type)
    }

    /// The elements in some bytes of the file.
    func decoded(_ bytes: RawSpan, _ type: ElementType) throws(JobFileError) -> [Double] {
        var numbers = [Double](repeating: 0, count: bytes.byteCount / type.byteCount)
        try wrapping(path) { () throws(LinearAlgebraError) in
            var span = numbers.mutableSpan
            try type.decode(bytes, into: &span)
        }
        return numbers
    }

    /// Some bytes of the file.
    func bytes(_ range: Range<Int>) throws(JobFileError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        try wrapping { () throws(SafetensorsError) in
            var span = bytes.mutableSpan
            var raw = span.mutableBytes
            try read(fromFileOffset: range.lowerBound, into: &raw)
        }
        return bytes
    }
}
