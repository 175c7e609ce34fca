import Foundation

/// A tensor of a test's file.
struct Tensor {
    /// The element types that captures and checkpoints use.
    enum ElementType: String {
        case float64 = "F64"
        case float32 = "F32"
        case float16 = "F16"
        case bfloat16 = "BF16"
        case int64 = "I64"
        case int32 = "I32"
        case uint8 = "U8"
        case bool = "BOOL"
        case float8 = "F8_E4M3"
        case complex64 = "C64"

        var byteCount: Int {
            switch self {
            case .float64, .int64, .complex64: 8
            case .float32, .int32: 4
            case .float16, .bfloat16: 2
            case .uint8, .bool, .float8: 1
            }
        }
    }

    let name: String
    let elementType: ElementType
    let shape: [Int]
    let bytes: Data

    /// A tensor of given bytes.
    init(_ name: String, _ elementType: ElementType, _ shape: [Int], bytes: Data) {
        (self.name, self.elementType, self.shape, self.bytes) = (name, elementType, shape, bytes)
    }

    /// An F32 tensor.
    init(_ name: String, _ shape: [Int], _ values: [Float]) {
        precondition(values.count == shape.reduce(1, *), "\(name): \(values.count) values for \(shape)")
        self.init(name, .float32, shape, bytes: values.withUnsafeBytes { Data($0) })
    }

    /// The numbers, whatever the type.
    var values: [Double] {
        switch elementType {
        case .float64: elements(of: Double.self).map { $0 }
        case .float32: elements(of: Float.self).map(Double.init)
        case .float16: elements(of: UInt16.self).map { Double(Float(half: $0)) }
        case .bfloat16: elements(of: UInt16.self).map { Double(Float(bitPattern: UInt32($0) << 16)) }
        case .int64: elements(of: Int64.self).map(Double.init)
        case .int32: elements(of: Int32.self).map(Double.init)
        case .uint8, .bool, .float8, .complex64: bytes.map(Double.init)
        }
    }

    /// The same numbers in another type, rounded to nearest even.
    func converted(to type: ElementType) -> Tensor {
        let floats = values.map { Float($0) }
        switch type {
        case .float16: return half(floats.map(\.halfBits), type)
        case .bfloat16: return half(floats.map(\.bfloat16Bits), type)
        case .float64: return Tensor(name, type, shape, bytes: values.withUnsafeBytes { Data($0) })
        case .float32, .int64, .int32, .uint8, .bool, .float8, .complex64: return Tensor(name, shape, floats)
        }
    }

    /// The same bytes under another name.
    func renamed(_ name: String) -> Tensor { Tensor(name, elementType, shape, bytes: bytes) }

    /// Some of the rows.
    func rows(_ range: Range<Int>) -> Tensor {
        let rowBytes = shape.dropFirst().reduce(1, *) * elementType.byteCount
        let part = bytes.subdata(in: range.lowerBound * rowBytes..<range.upperBound * rowBytes)
        return Tensor(name, elementType, [range.count] + shape.dropFirst(), bytes: part)
    }

    /// The tensor with one F32 element replaced.
    func replacing(_ index: Int, with value: Float) -> Tensor {
        var changed = bytes
        withUnsafeBytes(of: value) { changed.replaceSubrange(index * 4..<index * 4 + 4, with: $0) }
        return Tensor(name, elementType, shape, bytes: changed)
    }

    private func half(_ bits: [UInt16], _ type: ElementType) -> Tensor {
        Tensor(name, type, shape, bytes: bits.withUnsafeBytes { Data($0) })
    }

    private func elements<Element>(of type: Element.Type) -> [Element] {
        bytes.withUnsafeBytes { buffer in
            (0..<buffer.count / MemoryLayout<Element>.size).map {
                buffer.loadUnaligned(fromByteOffset: $0 * MemoryLayout<Element>.size, as: Element.self)
            }
        }
    }
}

extension Float {
    /// The number of binary16 bits, including subnormal ones.
    fileprivate init(half bits: UInt16) {
        let (exponent, fraction) = (Int(bits >> 10) & 0x1F, Float(bits & 0x3FF))
        let magnitude =
            exponent == 0
            ? fraction * 0x1p-24
            : (1 + fraction * 0x1p-10) * Float(sign: .plus, exponent: exponent - 15, significand: 1)
        self = bits >> 15 == 1 ? -magnitude : magnitude
    }

    /// The nearest binary16, for zero and for magnitudes that are normal numbers in binary16.
    fileprivate var halfBits: UInt16 {
        let sign: UInt16 = self.sign == .minus ? 0x8000 : 0
        guard magnitude >= 0x1p-14 else { return sign | UInt16((magnitude * 0x1p24).rounded(.toNearestOrEven)) }
        // The carry of the rounding correctly runs into the exponent.
        let rounded = magnitude.bitPattern + 0xFFF + (magnitude.bitPattern >> 13 & 1)
        return sign | UInt16((rounded >> 13) - (112 << 10))
    }

    fileprivate var bfloat16Bits: UInt16 { UInt16((bitPattern + 0x7FFF + (bitPattern >> 16 & 1)) >> 16) }
}
