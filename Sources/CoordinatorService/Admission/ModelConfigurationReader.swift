import FileAccess
import JobPlan
import Safetensors
import SystemPackage

/// Reads the `config.json` beside a checkpoint, as far as the models of a job are compared by it.
enum ModelConfigurationReader {
    /// Far above any real configuration.
    private static let byteCountMax = 16 << 20

    /// The configuration of a checkpoint; `nil` where there is none, and a notice where it cannot be read.
    static func read(
        _ set: SafetensorsSet, within roots: FileRoots
    ) -> (configuration: ModelConfiguration?, notice: JobNotice?) {
        guard let directory = set.files.first?.path.removingLastComponent() else { return (nil, nil) }
        let path = directory.appending("config.json")
        do throws(SafetensorsError) {
            let bytes = try WholeFile.read(path, limit: byteCountMax, within: roots)
            let config = try JSONValue(parsing: bytes, file: path)
            var values: [String: String] = [:]
            collect(config, at: "", into: &values)
            return (ModelConfiguration(location: path.string, values: values), nil)
        } catch .callFailed(_, _, .noSuchFileOrDirectory) {
            return (nil, nil)
        } catch .outsideRoots {
            return (nil, nil)
        } catch {
            return (
                nil,
                JobNotice(at: path.string, "the configuration is not compared with the other models': \(error)")
            )
        }
    }

    /// The values by their paths; objects are walked through, and what newer versions of transformers call otherwise
    /// has its old name.
    private static func collect(_ value: JSONValue, at path: String, into values: inout [String: String]) {
        guard case .object(let members) = value else {
            values[path] = value.text()
            return
        }
        for member in members {
            let key = path.isEmpty ? member.key : "\(path).\(member.key)"
            switch member.key {
            case "rope_parameters", "rope_scaling": collectRotation(member.value, below: path, into: &values)
            default: collect(member.value, at: key, into: &values)
            }
        }
    }

    /// Rotary positions: version 5 of transformers has one object for what were a base frequency and a scaling.
    private static func collectRotation(_ value: JSONValue, below path: String, into values: inout [String: String]) {
        func key(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }
        var scaling: [JSONValue.Member] = []
        for member in value.members ?? [] {
            switch member.key {
            case "rope_theta", "partial_rotary_factor": values[key(member.key)] = member.value.text()
            case "type", "rope_type": scaling.append(.init("rope_type", member.value))
            default: scaling.append(member)
            }
        }
        let isNone = scaling.allSatisfy { $0.key == "rope_type" && $0.value.stringValue == "default" }
        var seen: Set<String> = []
        let distinct = scaling.filter { seen.insert($0.key).inserted }.sorted { $0.key < $1.key }
        values[key("rope_scaling")] = isNone ? "null" : JSONValue.object(distinct).text()
    }
}
