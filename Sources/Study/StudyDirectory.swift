import FileAccess
import Foundation
import Identifiers
public import Laboratory
public import StudyReport
public import SystemPackage

/// The directory in which a study keeps its results, so that an interrupted study continues where it stopped.
///
/// A file that exists is complete, because each is written under another name and then renamed.
public struct StudyDirectory: Sendable {
    /// The directory.
    public let path: FilePath

    /// A study's directory; the first file creates it.
    public init(_ path: FilePath) { self.path = path }

    /// The checkpoint that holds a trained vector.
    func vector(_ method: StudyMethod, seed: Int, task: String) -> FilePath {
        path.appending("vectors").appending(method.fileName).appending("seed\(seed)").appending("\(task).safetensors")
    }

    /// The captures and factors of a seed.
    func factors(_ source: FactorSource, seed: Int) -> FilePath {
        path.appending("factors").appending("seed\(seed)")
            .appending("samples\(source.sampleCount)-probes\(source.probeCount)")
    }

    /// The outputs of a merge.
    func merge(_ method: String, seed: Int) -> FilePath {
        path.appending("merges").appending("seed\(seed)").appending(method)
    }

    private func stage(_ name: String) -> FilePath { path.appending("stages").appending("\(name).json") }
    private var settingsFile: FilePath { path.appending("study.json") }

    /// The content of a small file of a study; `nil` for a missing file, or one that is too large to be the study's.
    private static func content(of path: FilePath) -> Data? {
        (try? WholeFile.read(path, limit: 64 << 20)).map { Data($0) }
    }

    // MARK: - Stages

    /// The result of a stage, if the stage is done.
    ///
    /// - Throws: ``Laboratory/LaboratoryError/usage(_:)`` for a file that does not hold a stage's result.
    func result(ofStage name: String) throws(LaboratoryError) -> StageResult? {
        guard let bytes = Self.content(of: stage(name)) else { return nil }
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        // The format comes first, because another version may write the rest differently.
        let stated = (try? decoder.decode(Stated.self, from: bytes))?.format
        if let problem = stated.flatMap({ FormatVersion.stage.problem(with: $0) }) {
            throw .otherFormat(file: stage(name), problem)
        }
        do { return try decoder.decode(StageResult.self, from: bytes) } catch {
            throw .usage("\(stage(name)): no result of a study's stage. Remove it to compute it again.")
        }
    }

    /// Keeps the result of a stage.
    ///
    /// - Throws: ``Laboratory/LaboratoryError/file(_:)``. The stage then counts as not done.
    func keep(_ result: StageResult, ofStage name: String) throws(LaboratoryError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        do { try write(Array(try encoder.encode(result)), to: stage(name)) } catch let error as LaboratoryError {
            throw error
        } catch { throw .usage("\(stage(name)): the stage's result cannot be written: \(error)") }
    }

    /// The names of the files of finished stages.
    private var finishedFiles: [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: path.appending("stages").string)) ?? []
    }

    /// The seeds of finished stages.
    var finishedSeeds: [Int] {
        finishedFiles.compactMap { name in
            name.split(separator: ".").first { $0.hasPrefix("seed") }.flatMap { Int($0.dropFirst(4)) }
        }
    }

    /// The start of the names of contenders' stages.
    static let contenderPrefix = "contender."

    /// The results of the contenders of all runs, by contender and seed.
    ///
    /// - Throws: As ``result(ofStage:)``.
    func contenderResults() throws(LaboratoryError) -> [StageResult] {
        let end = ".json"
        var results: [StageResult] = []
        for file in finishedFiles where file.hasPrefix(Self.contenderPrefix) && file.hasSuffix(end) {
            if let result = try result(ofStage: String(file.dropLast(end.count))) { results.append(result) }
        }
        func key(_ result: StageResult) -> (String, Int) { (result.choice?.contender ?? "", result.choice?.seed ?? 0) }
        return results.sorted { key($0) < key($1) }
    }

    // MARK: - Settings

    /// Claims the directory for a new study, or continues the existing one.
    ///
    /// - Parameter settings: The settings that affect its vectors and measurements, by name.
    /// - Throws: ``Laboratory/LaboratoryError/otherStudy(directory:setting:found:expected:)`` for an earlier run with
    ///   other settings. Nothing changes then.
    func claim(_ settings: [String: String]) throws(LaboratoryError) {
        if let bytes = Self.content(of: settingsFile) {
            if let stated = (try? JSONDecoder().decode(Stated.self, from: bytes))?.format,
                let problem = FormatVersion.study.problem(with: stated)
            {
                throw .otherFormat(file: settingsFile, problem)
            }
            let found = (try? JSONDecoder().decode([String: String].self, from: bytes)) ?? [:]
            // Settings that a reader knows come first, and the long definitions of methods follow.
            let order = settings.sorted {
                ($0.key.hasPrefix("method ") ? 1 : 0, $0.key) < ($1.key.hasPrefix("method ") ? 1 : 0, $1.key)
            }
            for (name, value) in order where found[name] != value {
                throw .otherStudy(directory: path, setting: name, found: found[name] ?? "unknown", expected: value)
            }
            return
        }
        for name in ["stages", "vectors", "factors"]
        where FileManager.default.fileExists(atPath: path.appending(name).string) {
            throw .otherStudy(directory: path, setting: "study.json", found: "missing", expected: "that of this study")
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let stated = settings.merging(["format": FormatVersion.study.description]) { $1 }
        guard let bytes = try? encoder.encode(stated) else { return }
        try write(Array(bytes), to: settingsFile)
    }

    /// Writes a file of the study, and creates its directory.
    ///
    /// - Throws: ``Laboratory/LaboratoryError/file(_:)``. Then no new file appears, and an existing one is
    ///   unchanged.
    public func write(_ bytes: [UInt8], to file: FilePath) throws(LaboratoryError) {
        try makeDirectory(file.removingLastComponent())
        do throws(FileError) { try WholeFile.write(bytes, to: file) } catch { throw .file(error) }
    }

    /// Writes `results.json`, `figures.json` and `results.html`.
    ///
    /// - Throws: ``Laboratory/LaboratoryError/file(_:)`` or ``StudyReport/StudyReportError``. Each file is then
    ///   the old one or the complete new one.
    public func writeResults(
        _ rows: [StudyRow], _ figures: StudyFigures, _ description: StudyDescription
    ) throws {
        let page = ResultsPage(description: description, rows: rows, figures: figures)
        let files = [
            (ResultsFile.name, try ResultsFile.encode(rows)), (FiguresFile.name, try FiguresFile.encode(figures)),
            ("results.html", page.html),
        ]
        for (name, text) in files { try write(Array(text.utf8), to: path.appending(name)) }
    }

    /// Creates a directory and its parents; an empty path is the working directory, which exists.
    ///
    /// - Throws: ``Laboratory/LaboratoryError/file(_:)``.
    public func makeDirectory(_ directory: FilePath) throws(LaboratoryError) {
        guard !directory.isEmpty else { return }
        do throws(FileAccessError) { try Directories.create(directory, isDurable: true) } catch {
            throw .file(FileError(error))
        }
    }

    /// Checks before the work whether files can be written there; creates nothing.
    ///
    /// - Parameter names: The files that will be written, as paths within the directory.
    /// - Throws: ``Laboratory/LaboratoryError/usage(_:)`` with the reason why they cannot be written.
    public func requireWritable(_ names: [String] = []) throws(LaboratoryError) {
        let place = path.isEmpty ? FilePath(".") : path
        let obstacle =
            WriteAccess.obstacle(toUsing: place)
            ?? names.lazy.compactMap { WriteAccess.obstacle(toWritingFile: place.pushing(FilePath($0))) }.first
        guard let obstacle else { return }
        throw .usage("\(place): \(obstacle) Give another place.")
    }

    /// Checks before the work whether a file can be written, even over an existing one; creates nothing.
    ///
    /// - Throws: As ``requireWritable(_:)``.
    public static func requireWritable(file: FilePath) throws(LaboratoryError) {
        try StudyDirectory(file.removingLastComponent()).requireWritable([file.lastComponent?.string ?? ""])
    }

    /// Removes files that can be computed again; then removes their directory if it is empty.
    func remove(_ names: [String], in directory: FilePath) {
        for name in names { try? FileManager.default.removeItem(atPath: directory.appending(name).string) }
        _ = directory.withPlatformString { rmdir($0) }
    }
}

/// The format that a file of a study states.
private struct Stated: Decodable {
    var format: String?
}

/// The result of a stage.
struct StageResult: Codable, Sendable {
    /// Stages of the first version state no format.
    var format: String? = FormatVersion.stage.description
    var rows: [StudyRow] = []
    var disentanglement: [DisentanglementMap] = []
    var interference: [InterferenceMatrix] = []
    var localisation: [InterferenceMatrix] = []
    var penaltyCost: [PenaltyCost] = []
    /// Only of a stage that measures them.
    var leaks: [LeakFigure]?
    /// Only of a contender's stage.
    var choice: ContenderChoice?
}
