public import FileAccess
import JobFiles
public import JobPlan
import Safetensors
public import SystemPackage

/// The content of an adapter for `kfacctl inspect`: the tensors that it changes, and how.
public struct AdapterDescription {
    /// The adapter's directory.
    public let directory: FilePath
    /// What it changes.
    public let changes: AdapterInventory

    /// Reads an adapter's settings and headers; `nil` if the path names no adapter.
    ///
    /// - Parameters:
    ///   - path: The adapter's directory, or its file of tensors.
    ///   - roots: The directories below which files may be read.
    /// - Throws: `JobRefusal` with the settings and tensors that cannot be used.
    public init?(at path: FilePath, within roots: FileRoots = .unlimited) throws(JobRefusal) {
        guard let directory = AdapterDirectory.find(at: path, within: roots) else { return nil }
        func refusal(_ sentences: [String]) -> JobRefusal {
            JobRefusal(problems: sentences.map { JobProblem(at: directory.string, $0) })
        }
        let configuration: AdapterConfiguration
        do throws(JobFileError) {
            configuration = try AdapterConfiguration(in: directory, within: roots)
        } catch {
            throw refusal(error.sentences)
        }
        let file: SafetensorsFile
        do throws(SafetensorsError) {
            file = try SafetensorsFile(opening: directory.appending(AdapterConfiguration.tensorsName), within: roots)
        } catch {
            throw refusal(error.sentences)
        }
        var tensors = AdapterTensors(file: file, number: 0, configuration: configuration)
        changes = tensors.inventory()
        guard tensors.problems.isEmpty else { throw refusal(tensors.problems) }
        self.directory = directory
    }
}
