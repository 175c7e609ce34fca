import Identifiers

extension SafetensorsError {
    /// A rule of the format that the whole header breaks.
    public enum HeaderProblem: Equatable, Sendable, CustomStringConvertible {
        /// The first eight bytes state a header that is larger than the format allows.
        case tooLarge(byteCount: UInt64, limit: Int)
        /// The first eight bytes state a header that is longer than the file.
        case pastEnd(byteCount: Int, available: Int)
        /// The header does not start with a brace; nil when it is empty.
        case notObject(firstByte: UInt8?)
        /// The header is not UTF-8 from this byte of the file on.
        case notUTF8(offset: Int)
        /// The header's object is followed by something other than padding spaces.
        case trailingGarbage(offset: Int)
        /// A metadata value is a number, a list, an object, true, false or null.
        case metadataNotString(key: String)

        /// The middle and end of the sentence that starts with the file.
        public var description: String {
            switch self {
            case .tooLarge(let byteCount, let limit):
                "announces a header of \(byteCount) bytes; expected at most \(limit). "
                    + "It is not a safetensors file, or it is damaged."
            case .pastEnd(let byteCount, let available):
                "announces a header of \(byteCount) bytes, but only \(available) bytes follow. "
                    + "It is truncated or not a safetensors file; copy or download it again."
            case .notObject(nil):
                "announces an empty header; expected at least \"{}\"."
            case .notObject(let byte?):
                "its header starts with byte \(byte); expected \"{\" (123). It is not a safetensors file."
            case .notUTF8(let offset):
                "its header is not UTF-8 at byte \(offset); expected JSON in UTF-8."
            case .trailingGarbage(let offset):
                "something follows the header's object at byte \(offset); expected only spaces and line breaks up to the data."
            case .metadataNotString(let key):
                "metadata \"\(key.excerpt)\" is not a string; expected every metadata value to be one."
            }
        }
    }

    /// A rule of the format that one tensor's entry breaks, or a request that the tensor cannot serve.
    public enum TensorProblem: Equatable, Sendable, CustomStringConvertible {
        /// The file holds no tensor of that name.
        case missing
        /// The entry lacks a key that the format requires.
        case missingField(String)
        /// The name equals another tensor's name as text, but in other Unicode scalars.
        case sameTextOtherScalars
        /// The format does not know the data type.
        case unknownDataType(String)
        /// An extent or offset, as written in the header, is negative or fractional.
        case notWholeNumber(field: String, text: String)
        /// An extent or offset, as written in the header, has more than 63 bits.
        case numberTooLarge(field: String, text: String)
        /// `data_offsets` is not a start and an end.
        case offsetCount(Int)
        /// The end is before the start.
        case offsetsReversed(start: Int, end: Int)
        /// The shape's size in bits does not fit in 63 bits.
        case shapeTooLarge(TensorDescription)
        /// The packed elements end in the middle of a byte.
        case partialByte(TensorDescription, bitCount: Int)
        /// The offsets enclose another number of bytes than type and shape need.
        case sizeMismatch(TensorDescription, expected: Int, found: Int)
        /// Some bytes also belong to another tensor.
        case overlaps(other: String, bytes: Range<Int>)
        /// The bytes before the tensor belong to no tensor.
        case followsHole(bytes: Range<Int>)
        /// A read goes beyond the tensor.
        case rangeOutside(start: Int, count: Int, byteCount: Int)

        /// The middle and end of the sentence that starts with file and tensor.
        public var description: String {
            switch self {
            case .missing: "is not in the file."
            case .sameTextOtherScalars:
                "has the name of another tensor in other Unicode scalars; expected names that can be told apart."
            case .missingField(let field): "has no \"\(field)\"; expected \"dtype\", \"shape\" and \"data_offsets\"."
            case .unknownDataType(let name):
                "has the data type \"\(name.excerpt)\"; expected one of "
                    + TensorDataType.allCases.map(\.rawValue).joined(separator: ", ") + "."
            case .notWholeNumber(let field, let text):
                "has \(text.excerpt) in \"\(field)\"; expected whole numbers that are not negative."
            case .numberTooLarge(let field, let text):
                "has \(text.excerpt) in \"\(field)\"; expected at most \(Int.max)."
            case .offsetCount(let count): "has \(count) data offsets; expected 2, a start and an end."
            case .offsetsReversed(let start, let end):
                "ends at byte \(end), before its start at byte \(start); expected the end last."
            case .shapeTooLarge(let tensor): "is \(tensor.typeAndShape), more bytes than can be counted in 63 bits."
            case .partialByte(let tensor, let bitCount):
                "is \(tensor.typeAndShape), which takes \(bitCount) bits; expected a whole number of bytes."
            case .sizeMismatch(let tensor, let expected, let found):
                "is \(tensor.typeAndShape), which takes \(expected) bytes, but its offsets enclose \(found)."
            case .overlaps(let other, let bytes):
                "shares bytes \(bytes.lowerBound) to \(bytes.upperBound) of the data with tensor \"\(other.excerpt)\"; "
                    + "expected tensors one after the other."
            case .followsHole(let bytes):
                "follows bytes \(bytes.lowerBound) to \(bytes.upperBound) of the data, which belong to no tensor; "
                    + "expected tensors without holes between them."
            case .rangeOutside(let start, let count, let byteCount):
                "has \(byteCount) bytes; \(count) bytes from byte \(start) on are not all in it."
            }
        }
    }
}
