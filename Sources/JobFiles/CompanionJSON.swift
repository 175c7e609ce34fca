import FileAccess
import JSONText
import SystemPackage

/// A file of JSON that may stand beside a model's tensors.
enum CompanionJSON {
    /// Reads a file.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - limit: The most bytes.
    ///   - roots: The directories below which files may be read.
    /// - Returns: The content; `nil` if there is no file, or none that may be read.
    /// - Throws: ``JobFileError`` when it cannot be read, or is not JSON.
    static func read(_ path: FilePath, limit: Int, within roots: FileRoots) throws(JobFileError) -> JSONValue? {
        let bytes: [UInt8]
        do throws(FileError) {
            bytes = try WholeFile.read(path, limit: limit, within: roots)
        } catch .callFailed(_, _, .noSuchFileOrDirectory) {
            return nil
        } catch .outsideRoots {
            return nil
        } catch {
            throw .file(error)
        }
        return try wrapping { () throws(JSONError) in try JSONValue(parsing: bytes, file: path) }
    }
}
