import Identifiers

/// The properties of a tensor without its place: name, element type, shape.
public struct TensorDescription: Equatable, Hashable, Sendable {
    /// The tensor's key in the header.
    public let name: String
    /// Type of every element.
    public let dataType: TensorDataType
    /// Extent of each dimension, slowest first; empty for a scalar.
    public let shape: [Int]

    /// Describes a tensor.
    ///
    /// Nothing is checked until a file uses the description.
    public init(name: String, dataType: TensorDataType, shape: [Int]) {
        self.name = name
        self.dataType = dataType
        self.shape = shape
    }

    /// Product of the shape, 1 for a scalar; nil when an extent is negative or the product overflows `Int`.
    public var elementCount: Int? {
        var product: UInt = 1
        for extent in shape {
            guard extent >= 0 else { return nil }
            let (next, overflow) = product.multipliedReportingOverflow(by: UInt(extent))
            guard !overflow else { return nil }
            product = next
        }
        return Int(exactly: product)
    }

    /// Bits of all elements; nil when the count overflows `Int`.
    var bitCount: Int? {
        guard let elementCount else { return nil }
        let (bits, overflow) = elementCount.multipliedReportingOverflow(by: dataType.bitCount)
        return overflow ? nil : bits
    }

    /// Bytes of all elements; nil when the count overflows `Int` or is not a whole number of bytes.
    public var byteCount: Int? {
        guard let bitCount, bitCount.isMultiple(of: 8) else { return nil }
        return bitCount / 8
    }

    /// The tensor as error messages show it: `F32 [640, 24]`.
    var typeAndShape: String { "\(dataType.rawValue) \("\(shape)".excerpt)" }
}

/// A tensor of one file: its description and the bytes it occupies.
public struct TensorInfo: Equatable, Hashable, Sendable {
    /// Name, element type and shape.
    public let description: TensorDescription
    /// The tensor's bytes, counted from the start of the file's data (not of the file).
    public let byteRange: Range<Int>

    init(description: TensorDescription, byteRange: Range<Int>) {
        self.description = description
        self.byteRange = byteRange
    }

    /// The tensor's key in the header.
    public var name: String { description.name }
    /// Type of every element.
    public var dataType: TensorDataType { description.dataType }
    /// Extent of each dimension, slowest first; empty for a scalar.
    public var shape: [Int] { description.shape }
    /// Bytes the tensor occupies.
    public var byteCount: Int { byteRange.count }
}
