import FileAccess
import Foundation
import JSONText
import SystemPackage
import TaskArithmetic

extension CurvatureJob {
    /// The job file's text; its paths are absolute, so that the file may be anywhere.
    public var text: String {
        var lines = [
            "# Written by kfaclab; kfacctl run \(YAMLText.quoted(jobFile)) runs it.",
            "merge_method: \(method.name)",
            "base_model: \(YAMLText.quoted(baseModel))",
            "models:",
        ]
        for model in models {
            lines.append("  - name: \(YAMLText.quoted(model.name))")
            if let checkpoint = model.checkpoint { lines.append("    model: \(YAMLText.quoted(checkpoint))") }
            switch model.curvature {
            case .captures(let path): lines.append("    captures: \(YAMLText.quotedPattern(path))")
            case .factors(let path): lines.append("    factors: \(YAMLText.quoted(path))")
            case nil: break
            }
        }
        lines += [
            "kfac:",
            "  normalization: \(normalization)",
            "  damping: {rule: relative, value: \(damping)}",
            "  regularizer: {\(regularizer.text)}",
            "outputs: [\(Output.allCases.filter(outputs.contains).map(\.rawValue).joined(separator: ", "))]",
            "output: \(YAMLText.quoted(directory))",
        ]
        return lines.joined(separator: "\n") + "\n"
    }
}

extension CurvatureJob.Regularizer {
    fileprivate var text: String {
        let form =
            switch form {
            case .accumulated: "form: accumulated"
            case .optimal(let rank): "form: optimal, rank: \(rank)"
            case .perTask: "form: per_task"
            }
        let targets =
            switch targets {
            case .leaveOneOut: "leave_one_out"
            case .all: "all"
            case .tasks(let names): "[\(names.map(YAMLText.quoted).joined(separator: ", "))]"
            }
        return "\(form), scale: \(scale.rawValue), targets: \(targets)"
    }
}

/// Writes strings as YAML's double-quoted scalars.
private enum YAMLText {
    /// Source: YAML 1.2.2, section 7.3.1.
    ///
    /// JSON's escapes are also YAML's. Characters that JSON leaves unescaped and YAML calls not printable (section 5.1)
    /// are escaped here.
    static func quoted(_ text: String) -> String {
        JSONValue.string(text).text().unicodeScalars.reduce(into: "") { quoted, scalar in
            switch scalar.value {
            case 0x7F...0x9F, 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
    }

    static func quoted(_ path: FilePath) -> String { quoted(absolute(path).string) }

    /// Quotes a path for a key that accepts wildcards; wildcards in the file's name are escaped.
    static func quotedPattern(_ path: FilePath) -> String {
        let text = absolute(path).string
        guard text.contains(where: { "*?[".contains($0) }) else { return quoted(text) }
        return quoted(text.reduce(into: "") { $0 += "*?[\\".contains($1) ? "\\\($1)" : "\($1)" })
    }

    /// If the working directory is not known, the program that reads the job reports it.
    private static func absolute(_ path: FilePath) -> FilePath {
        (try? WorkingDirectory.absolute(path)) ?? path
    }
}
