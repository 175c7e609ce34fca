import LinearAlgebra
import ReferenceModel
import Safetensors
import SystemPackage
import Testing

extension FilePath {
    /// The path of a file of the repository.
    static func repository(_ path: String) -> FilePath {
        FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent().pushing(
            FilePath(path))
    }
}

extension SafetensorsFile {
    /// A tensor's elements, widened.
    ///
    /// - Throws: what the reading throws, or the requirement for a type that is not floating-point.
    func values(_ name: String) throws -> [Double] {
        let tensor = try tensor(name)
        let type = try #require(ElementType(rawValue: tensor.dataType.rawValue), "\(name) holds no numbers")
        let bytes = try bytes(of: name, count: tensor.byteCount)
        var values = [Double](repeating: 0, count: tensor.byteCount / type.byteCount)
        var span = values.mutableSpan
        try type.decode(bytes.span.bytes, into: &span)
        return values
    }

    /// The tensors `<prefix><parameter>` as one vector in the layout's order.
    ///
    /// - Throws: what the reading throws.
    func vector(_ prefix: String, _ layout: ParameterLayout) throws -> [Double] {
        try layout.entries.flatMap { entry in
            let name = prefix + entry.name
            try #require(try tensor(name).shape == entry.shape, "\(name) has the layout's shape")
            return try values(name)
        }
    }
}
