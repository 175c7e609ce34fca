/// The version of the programs.
public enum Build {
    /// The version that `--version` prints.
    public static let version = "0.1.0"
}
