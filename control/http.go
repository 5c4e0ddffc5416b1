package control

// httpAnswer is what tor 0.4.9 says to a browser that takes the control port
// for a proxy, to the byte: scanners and manuals know it by this text.
const httpAnswer = "HTTP/1.0 501 Tor ControlPort is not an HTTP proxy" +
	"\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n" +
	"<html>\n" +
	"<head>\n" +
	"<title>Tor's ControlPort is not an HTTP proxy</title>\n" +
	"</head>\n" +
	"<body>\n" +
	"<h1>Tor's ControlPort is not an HTTP proxy</h1>\n" +
	"<p>\n" +
	"It appears you have configured your web browser to use Tor's control port as an HTTP proxy.\n" +
	"This is not correct: Tor's default SOCKS proxy port is 9050.\n" +
	"Please configure your client accordingly.\n" +
	"</p>\n" +
	"<p>\n" +
	"See <a href=\"https://www.torproject.org/documentation.html\">https://www.torproject.org/documentation.html</a> for more information.\n" +
	"<!-- Plus this comment, to make the body response more than 512 bytes, so      IE will be willing to display it. Comment comment comment comment      comment comment comment comment comment comment comment comment.-->\n" +
	"</p>\n" +
	"</body>\n" +
	"</html>\n"
