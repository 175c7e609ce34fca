import Foundation

#if canImport(FoundationXML)
    import FoundationXML
#endif

/// Reads a page as XML and keeps its elements.
final class PageReader: NSObject, XMLParserDelegate {
    struct Element {
        let name: String
        let attributes: [String: String]
        /// The names of the surrounding elements, the outermost first.
        let path: [String]
        var text = ""
    }

    private(set) var elements: [Element] = []
    private(set) var problem: String?
    private var open: [Int] = []

    init(_ text: String) {
        super.init()
        let parser = XMLParser(data: Data(text.utf8))
        parser.delegate = self
        if !parser.parse() {
            problem = "line \(parser.lineNumber): \(parser.parserError.map { "\($0)" } ?? "unknown")"
        }
    }

    func all(_ name: String) -> [Element] { elements.filter { $0.name == name } }

    /// The identifiers of the page's sections.
    var sections: [String] { all("section").compactMap { $0.attributes["id"] } }

    func parser(
        _ parser: XMLParser,
        didStartElement name: String,
        namespaceURI: String?,
        qualifiedName: String?,
        attributes: [String: String]
    ) {
        elements.append(Element(name: name, attributes: attributes, path: open.map { elements[$0].name }))
        open.append(elements.count - 1)
    }

    func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
        open.removeLast()
    }

    func parser(_ parser: XMLParser, foundCharacters text: String) {
        for index in open { elements[index].text += text }
    }
}
