import LinearAlgebra
import Safetensors
import SystemPackage

extension SafetensorsFile {
    /// Reads a floating-point tensor in fp32 and checks its shape.
    ///
    /// - Throws: ``LaboratoryError/notFinite(file:tensor:element:)``,
    ///   ``LaboratoryError/otherArchitecture(file:tensor:found:expected:)`` for a missing tensor, another shape
    ///   or a type that is not floating-point; ``LaboratoryError/safetensors(_:)`` for a failed read.
    func floats(_ name: String, shape: [Int]) throws(LaboratoryError) -> [Float] {
        guard let tensor = header[name] else {
            throw .otherArchitecture(file: path, tensor: name, found: "missing", expected: "\(shape)")
        }
        guard tensor.shape == shape, let type = ElementType(rawValue: tensor.dataType.rawValue) else {
            throw .otherArchitecture(
                file: path, tensor: name, found: "\(tensor.dataType.rawValue) \(tensor.shape)",
                expected: "\(shape) of F64, F32, F16 or BF16")
        }
        let bytes = try reading { () throws(SafetensorsError) in try self.bytes(of: name, count: tensor.byteCount) }
        var values = [Float](repeating: 0, count: shape.reduce(1, *))
        do throws(LinearAlgebraError) {
            var target = values.mutableSpan
            try type.decode(bytes.span.bytes, into: &target)
        } catch {
            throw .otherArchitecture(file: path, tensor: name, found: "\(error)", expected: "\(shape)")
        }
        if let place = values.firstIndex(where: { !$0.isFinite }) {
            throw .notFinite(file: path, tensor: name, element: place)
        }
        return values
    }
}
